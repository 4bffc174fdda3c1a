/** @file Ops that move or repeat elements: Transpose, Expand, Tile. */
import { formatShape } from '../graph';
import type { Dim, Node } from '../graph';
import { broadcastDims, broadcastStrides, offsetOf, pick, stridesOf } from './elements';
import { reduceSum, reshape, unbroadcast } from './gradient';
import type { OpRule } from './rule';
import { transposedProduct } from './product';
import { broadcast, freshDim, freshShape, productDim, shapeError, staticShape, unsupportedForm } from './shapes';
import { constantOf } from './constant-value';

/** The permutation of a Transpose; reversed axes by default. */
export const permutation = (node: Node, rank: number): readonly number[] =>
  node.attribute('perm', 'ints') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);

/** Whether a permutation swaps the last two axes and nothing else. */
function swapsMatrix(perm: readonly number[]): boolean {
  const last = perm.length - 1;
  return last > 0 && perm.every((from, to) => from === (to === last ? last - 1 : to === last - 1 ? last : to));
}

export const Transpose: OpRule = {
  infer: ({ node, type, shape }) => {
    const dims = shape(0);
    const perm = permutation(node, dims.length);
    const isPermutation = perm.length === dims.length && new Set(perm).size === perm.length;
    if (!isPermutation || perm.some((axis) => dims[axis] === undefined)) {
      throw shapeError(node, `perm ${formatShape(perm)} does not fit an input of shape ${formatShape(dims)}.`);
    }
    return [{ dtype: type(0).dtype, shape: perm.map((axis) => dims[axis]) }];
  },
  grad: ({ build, node, outputGrads }) => {
    const g = outputGrads[0]!;
    const perm = permutation(node, staticShape(node.input(0), node).length);
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    return [(swapsMatrix(inverse) && transposedProduct(build, g)) || build.op('Transpose', [g], { perm: inverse })];
  },
  evaluate: (node, [x]) => {
    const perm = permutation(node, x!.dims.length);
    const strides = stridesOf(x!.dims);
    const permuted = perm.map((axis) => strides[axis]);
    return [
      pick(
        x!,
        perm.map((axis) => x!.dims[axis]),
        (index) => offsetOf(index, permuted),
      ),
    ];
  },
};

/** Broadcasts to a shape, which may itself have dimensions 1 that the input fills. */
export const Expand: OpRule = {
  infer: ({ node, type, shape, constant }) => {
    const { dtype } = type(0);
    const request = constant(1)?.toNumbers();
    if (request) return [{ dtype, shape: broadcast(node, shape(0), request) }];
    const [rank] = shape(1);
    if (typeof rank !== 'number') return [{ dtype, shape: undefined }];
    return [{ dtype, shape: freshShape(node, Math.max(rank, shape(0).length)) }];
  },
  grad: ({ build, node, outputGrads }) => [unbroadcast(build, outputGrads[0]!, node.input(0))],
  evaluate: (_, [x, request]) => {
    const dims = broadcastDims(x!.dims, request!.toNumbers());
    const strides = broadcastStrides(x!.dims, dims.length);
    return [pick(x!, dims, (index) => offsetOf(index, strides))];
  },
};

/** Repeats each dimension. */
export const Tile: OpRule = {
  infer: ({ node, type, shape, constant }) => {
    const dims = shape(0);
    const repeats = constant(1)?.toNumbers();
    if (repeats && repeats.length !== dims.length) {
      throw shapeError(node, `${repeats.length} repeats for an input of shape ${formatShape(dims)}.`);
    }
    const tiled = dims.map((dim, axis): Dim => (repeats ? productDim([dim, repeats[axis]]) : freshDim(node, axis)));
    return [{ dtype: type(0).dtype, shape: tiled }];
  },
  /** Splits each dimension into (repeat, dim) and sums over the repeats. */
  grad: ({ build, node, outputGrads }) => {
    const dims = staticShape(node.input(0), node);
    const repeats = constantOf(node.input(1))?.toNumbers();
    if (!repeats) throw unsupportedForm(node, 'its repeats are not constant.');
    const split = reshape(
      build,
      outputGrads[0]!,
      dims.flatMap((dim, axis) => [repeats[axis], dim]),
    );
    return [
      reshape(
        build,
        reduceSum(
          build,
          split,
          dims.map((_, axis) => 2 * axis),
        ),
        dims,
      ),
    ];
  },
  evaluate: (_, [x, repeats]) => {
    const counts = repeats!.toNumbers();
    const strides = stridesOf(x!.dims);
    const dims = x!.dims.map((dim, axis) => dim * counts[axis]);
    return [
      pick(x!, dims, (index) =>
        offsetOf(
          index.map((i, axis) => i % x!.dims[axis]),
          strides,
        ),
      ),
    ];
  },
};
