import { Graph, Model } from '../graph';
import type { Shape } from '../graph';
import { GraphBuilder } from '../graph/builder';
import type { OpName } from '.';
import { ruleFor } from './infer';

/** FLOPs of one op on inputs of the given shapes. */
function flopsOf(
  op: OpName,
  inputs: readonly Shape[],
  attributes: Record<string, number | readonly number[]> = {},
): number {
  const build = new GraphBuilder(new Model(new Graph()));
  const output = build.op(
    op,
    inputs.map((shape, i) => build.input(`x${i}`, 'float32', shape)),
    attributes,
  );
  return ruleFor(output.producer!).flops?.(output.producer!) ?? 0;
}

describe('FLOPs', () => {
  it.each([
    [
      'MatMul',
      [
        [8, 4, 16],
        [16, 3],
      ],
      {},
      2 * 8 * 4 * 16 * 3,
    ],
    [
      'MatMul',
      [
        [2, 5, 4, 16],
        [2, 5, 16, 3],
      ],
      {},
      2 * 10 * 4 * 16 * 3,
    ],
    [
      'FusedMatMul',
      [
        [2, 16, 4],
        [2, 16, 3],
      ],
      { transA: 1 },
      2 * 2 * 4 * 16 * 3,
    ],
    ['Gemm', [[16, 4], [3, 16], [3]], { transA: 1, transB: 1 }, 2 * 4 * 16 * 3],
    [
      'Conv',
      [
        [2, 3, 10],
        [5, 3, 4],
      ],
      {},
      2 * (2 * 5 * 7) * 3 * 4,
    ],
    ['Add', [[4, 1], [5]], {}, 20],
    ['ReduceSum', [[4, 5]], {}, 20],
    ['Transpose', [[4, 5]], {}, 0],
  ] as const)('of %s on %j', (op, inputs, attributes, expected) => {
    expect(flopsOf(op, inputs, attributes)).toBe(expected);
  });
});
