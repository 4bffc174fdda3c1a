/** @file Which engine computes the passes of a training run. */
import { z } from 'zod';
import { bf16Obstacle, nativeRuntime } from '../runtime/native';
import { ortRuntime } from '../runtime/ort';
import type { Precision, Runtime } from '../runtime/runtime';

export const precisionSchema = z
  .enum(['fp32', 'bf16'])
  .default('fp32')
  .describe(
    'bf16: large matrix products round their operands to bfloat16, faster on processors with AVX512_BF16 through the native runtime; weights, sums, loss and optimizer stay float32. Where that is not possible the run goes on in fp32 and says so.',
  );

export interface TrainingEngine {
  readonly runtime: Runtime;
  readonly precision: Precision;
  /** Why it is not the precision that was asked for. */
  readonly warning?: string;
}

/** The engine for a precision; where this machine cannot compute in it, that of fp32, with the reason. */
export function trainingEngine(asked: Precision): TrainingEngine {
  if (asked === 'fp32') return { runtime: ortRuntime, precision: asked };
  const obstacle = bf16Obstacle();
  if (obstacle === undefined) return { runtime: nativeRuntime, precision: asked };
  const warning = `Trained in fp32, because precision bf16 is not possible here: ${obstacle}`;
  return { runtime: ortRuntime, precision: 'fp32', warning };
}
