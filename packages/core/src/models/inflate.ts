/** @file Outputs that pruning removed from a linear layer, put back where the residual stream expects them. */
import { Tensor } from '../graph';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';

/**
 * Brings kept outputs back to the width of the residual stream; what was removed is 0. Whole rows are moved, between
 * two transposes: of the ways in stock ONNX Runtime that leave the product as it is, the cheapest (`bench/inflate.ts`).
 * @param kept [batch, sequence, dims.length]
 * @param dims ascending dimensions of the stream that are there
 * @returns [batch, sequence, width]
 */
export function inflate(build: GraphBuilder, kept: Value, dims: readonly number[], width: number): Value {
  return build.scope('inflate', () => {
    const rows = build.op('Transpose', [kept], { perm: [2, 0, 1] }, 'rows');
    const zero = dims.length;
    const padded = build.op('Pad', [rows, build.int64s([0, 0, 0, 1, 0, 0])], {}, 'padded');
    const at = new Map(dims.map((dim, i) => [dim, i]));
    const positions = Array.from({ length: width }, (_, dim) => at.get(dim) ?? zero);
    const index = build.constant(Tensor.int64([width], positions), 'positions');
    const all = build.op('Gather', [padded, index], { axis: 0 }, 'all');
    return build.op('Transpose', [all], { perm: [1, 2, 0] }, 'inflated');
  });
}
