/** @file Rewrites a graph for the native runtime in precision bf16. */
import { clone } from '../../../graph';
import type { Model } from '../../../graph';
import { removeDeadCode, sequence } from '../../../passes';
import { lowerGelu } from './gelu';
import { lowerProducts } from './products';

const passes = sequence(lowerGelu, lowerProducts, removeDeadCode);

/** A copy whose large matrix products round their operands to bfloat16 and whose element-wise chains are single ops. */
export function lower(model: Model): Model {
  const lowered = clone(model);
  passes(lowered);
  return lowered;
}
