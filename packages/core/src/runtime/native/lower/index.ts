/** @file Rewrites a graph for the native runtime in precision bf16. */
import { clone } from '../../../graph';
import type { Model } from '../../../graph';
import { removeDeadCode, sequence } from '../../../passes';
import { lowerGelu } from './gelu';
import { lowerLayerNormGradient, lowerResidualNorm } from './layer-norm';
import { lowerProducts } from './products';
import { lowerSoftmax } from './softmax';

/** Products come last: they take in factors and sums that the others match. */
const passes = sequence(
  lowerGelu,
  lowerSoftmax,
  lowerLayerNormGradient,
  lowerResidualNorm,
  lowerProducts,
  removeDeadCode,
);

/** A copy whose large matrix products round their operands to bfloat16 and whose element-wise chains are single ops. */
export function lower(model: Model): Model {
  const lowered = clone(model);
  passes(lowered);
  return lowered;
}
