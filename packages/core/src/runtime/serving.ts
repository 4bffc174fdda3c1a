/** @file Which runtime a bundle is served in. */
import { z } from 'zod';
import type { Manifest } from '../bundle/manifest';
import { bf16Obstacle, nativeObstacle, nativeRuntime } from './native';
import { ortRuntime } from './ort';
import type { Precision } from './runtime';

/** The runtimes that serve graphs. */
export const GRAPH_RUNTIMES = { ort: ortRuntime, native: nativeRuntime } as const;
export type GraphRuntime = keyof typeof GRAPH_RUNTIMES;

export const runtimeChoiceSchema = z
  .enum(['auto', 'ort'])
  .default('auto')
  .describe(
    'auto: a model with a form for the native runtime (stage accelerate) runs in it, where it is installed. ort: all models run as plain ONNX in ONNX Runtime.',
  );
export type RuntimeChoice = z.infer<typeof runtimeChoiceSchema>;

export const servingPrecisionSchema = z
  .enum(['fp32', 'bf16'])
  .default('fp32')
  .describe(
    'bf16: the model (not the original) runs in the native runtime, and its large matrix products round their operands to bfloat16; needs a processor with AVX512_BF16. Where that is not possible it runs in fp32 and the result says so.',
  );

export interface Serving {
  readonly runtime: GraphRuntime;
  readonly precision: Precision;
  /** That the model does not run as it was made or asked to, and why. */
  readonly warning?: string;
}

/** How a bundle is served on this machine. */
export function servingOf(
  { native, architecture }: Pick<Manifest, 'native' | 'architecture'>,
  choice: RuntimeChoice,
  precision: Precision = 'fp32',
): Serving {
  if (precision === 'bf16') {
    const obstacle = architecture === 'dan' ? 'an n-gram student has no matrix products of that size.' : bf16Obstacle();
    if (obstacle === undefined) return { runtime: 'native', precision };
    const warning = `The model ran in fp32, because precision bf16 is not possible here: ${obstacle}`;
    return { ...servingOf({ native, architecture }, choice), warning };
  }
  if (choice === 'ort' || !native) return { runtime: 'ort', precision };
  const obstacle = nativeObstacle();
  if (obstacle === undefined) return { runtime: 'native', precision };
  const warning = `The model ran as plain ONNX, not in its form for the native runtime: ${obstacle}`;
  return { runtime: 'ort', precision, warning };
}

/** What a stage refuses before it runs: `runtime: ort` leaves no room for bf16. */
export const servingIssues = (
  choice: RuntimeChoice,
  precision: Precision,
): readonly { path: string; code: string; message: string }[] =>
  choice === 'ort' && precision === 'bf16'
    ? [
        {
          path: 'precision',
          code: 'needs-native',
          message: 'bf16 is computed by the native runtime, which `runtime: ort` leaves out.',
        },
      ]
    : [];
