/** @file Ops along one axis: ArgMax, TopK, CumSum, Trilu. */
import { Tensor } from '../graph';
import type { Dim, Node, Shape } from '../graph';
import { fromNumbers, indicesOf, numbersOf, offsetOf, stridesOf } from './elements';
import { perInput, perOutput } from './flops';
import { zeros } from './gradient';
import type { OpRule } from './rule';
import { freshDim, normalizeAxis, shapeError, staticShape, withDim } from './shapes';

const axisOf = (node: Node, rank: number, fallback: number): number =>
  normalizeAxis(node, node.attribute('axis', 'int', fallback), rank);

/** Calls `visit` with the flat positions of every line along an axis. */
function forEachLine(dims: readonly number[], axis: number, visit: (positions: readonly number[]) => void): void {
  const strides = stridesOf(dims);
  for (const start of indicesOf(withDim(dims, axis, 1) as readonly number[])) {
    const base = offsetOf(start, strides);
    visit(Array.from({ length: dims[axis] }, (_, i) => base + i * strides[axis]));
  }
}

export const ArgMax: OpRule = {
  infer: ({ node, shape }) => {
    const dims = shape(0);
    const axis = axisOf(node, dims.length, 0);
    const keep = node.attribute('keepdims', 'int', 1) === 1;
    return [{ dtype: 'int64', shape: keep ? withDim(dims, axis, 1) : dims.filter((_, i) => i !== axis) }];
  },
  grad: 'none',
  flops: perInput(1),
  evaluate: (node, [x]) => {
    const values = numbersOf(x!);
    const takesLast = node.attribute('select_last_index', 'int', 0) === 1;
    const winners: number[] = [];
    forEachLine(x!.dims, axisOf(node, x!.dims.length, 0), (line) => {
      const list = line.map((position) => values[position]);
      const best = list.reduce((a, b) => Math.max(a, b), -Infinity);
      winners.push(takesLast ? list.lastIndexOf(best) : list.indexOf(best));
    });
    return [Tensor.int64(staticShape(node.output(), node), winners)];
  },
};

/** The k largest (or smallest) elements along an axis, and their indices. */
export const TopK: OpRule = {
  infer: ({ node, type, shape, constant }) => {
    const dims = shape(0);
    const axis = axisOf(node, dims.length, -1);
    const count: Dim = constant(1)?.toNumbers()[0] ?? freshDim(node, axis);
    const dim = dims[axis];
    if (typeof dim === 'number' && typeof count === 'number' && count > dim) {
      throw shapeError(node, `asks for ${count} of ${dim} elements.`);
    }
    const top: Shape = withDim(dims, axis, count);
    return [
      { dtype: type(0).dtype, shape: top },
      { dtype: 'int64', shape: top },
    ];
  },
  grad: ({ build, node, outputGrads }) => {
    const dims = staticShape(node.input(0), node);
    const axis = axisOf(node, dims.length, -1);
    const inputs = [zeros(build, dims), node.output(1), outputGrads[0]!];
    return [build.op('ScatterElements', inputs, { axis, reduction: 'add' }), null];
  },
  flops: perInput(1),
};

export const CumSum: OpRule = {
  infer: (context) => [context.type(0)],
  /** The sum over later elements: the same op in the other direction. */
  grad: ({ build, node, outputGrads }) => [
    build.op('CumSum', [outputGrads[0]!, node.input(1)], {
      exclusive: node.attribute('exclusive', 'int', 0),
      reverse: 1 - node.attribute('reverse', 'int', 0),
    }),
  ],
  flops: perOutput(1),
  evaluate: (node, [x, axisTensor]) => {
    const axis = normalizeAxis(node, axisTensor!.toNumbers()[0], x!.dims.length);
    const isExclusive = node.attribute('exclusive', 'int', 0) === 1;
    const isReverse = node.attribute('reverse', 'int', 0) === 1;
    const values = numbersOf(x!);
    forEachLine(x!.dims, axis, (line) => {
      let total = 0;
      for (const position of isReverse ? [...line].reverse() : line) {
        const own = values[position];
        values[position] = isExclusive ? total : total + own;
        total += own;
      }
    });
    return [fromNumbers(x!.dtype, x!.dims, values)];
  },
};

/** Keeps the upper or lower triangle of every matrix, relative to diagonal k. */
export const Trilu: OpRule = {
  infer: (context) => {
    if (context.shape(0).length < 2) throw shapeError(context.node, 'needs a matrix.');
    return [context.type(0)];
  },
  grad: ({ build, node, outputGrads }) => [
    build.op('Trilu', [outputGrads[0]!, ...node.inputs.slice(1)], { upper: node.attribute('upper', 'int', 1) }),
  ],
  evaluate: (node, [x, k]) => {
    const isUpper = node.attribute('upper', 'int', 1) === 1;
    const diagonal = k?.toNumbers()[0] ?? 0;
    const [rows, columns] = x!.dims.slice(-2) as [number, number];
    const values = numbersOf(x!).map((value, position) => {
      const column = position % columns;
      const row = Math.floor(position / columns) % rows;
      return (isUpper ? column - row >= diagonal : column - row <= diagonal) ? value : 0;
    });
    return [fromNumbers(x!.dtype, x!.dims, values)];
  },
};
