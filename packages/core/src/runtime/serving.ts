/** @file Which runtime a bundle is served in. */
import { z } from 'zod';
import type { Manifest } from '../bundle/manifest';
import { nativeObstacle, nativeRuntime } from './native';
import { ortRuntime } from './ort';

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

export interface Serving {
  readonly runtime: GraphRuntime;
  /** Why the model does not run in the native runtime although it has a form for it. */
  readonly obstacle: string | undefined;
}

export function servingOf({ native }: Pick<Manifest, 'native'>, choice: RuntimeChoice): Serving {
  if (choice === 'ort' || !native) return { runtime: 'ort', obstacle: undefined };
  const obstacle = nativeObstacle();
  return { runtime: obstacle === undefined ? 'native' : 'ort', obstacle };
}

/** What users are told of an obstacle. */
export const obstacleWarning = (obstacle: string): string =>
  `The model ran as plain ONNX, not in its form for the native runtime: ${obstacle}`;
