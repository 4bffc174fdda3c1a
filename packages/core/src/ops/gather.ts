/** @file Ops that read by index: Gather, GatherElements, GatherND, OneHot. */
import { formatShape, sizeOf } from '../graph';
import type { Dim, Node } from '../graph';
import { constantOf } from './constant-value';
import { fromNumbers, indicesOf, offsetOf, pick, stridesOf } from './elements';
import { reshape, scatterAlongAxis, zeros } from './gradient';
import { padZeros } from './slicing';
import type { OpRule, InferContext } from './rule';
import { dtypeError, freshDim, normalizeAxis, shapeError, staticShape, unsupportedForm } from './shapes';

/** Throws unless input `index` holds int32 or int64 indices. */
export function checkIndices(context: InferContext, index: number): void {
  const { dtype } = context.type(index);
  if (dtype !== 'int64' && dtype !== 'int32') throw dtypeError(context.node, `has indices of type ${dtype}.`);
}

const gatherAxis = (node: Node, rank: number): number => normalizeAxis(node, node.attribute('axis', 'int', 0), rank);

export const Gather: OpRule = {
  infer: (context) => {
    const { node, shape } = context;
    checkIndices(context, 1);
    const dims = shape(0);
    const axis = gatherAxis(node, dims.length);
    return [{ dtype: context.type(0).dtype, shape: [...dims.slice(0, axis), ...shape(1), ...dims.slice(axis + 1)] }];
  },
  /** Adds the rows of g into zeros at the indices; a single constant index is a padding. */
  grad: ({ build, node, outputGrads }) => {
    const g = outputGrads[0]!;
    const dims = staticShape(node.input(0), node);
    const axis = gatherAxis(node, dims.length);
    const constant = constantOf(node.input(1));
    if (constant?.size === 1) {
      const [given] = constant.toNumbers();
      const index = given < 0 ? given + dims[axis] : given;
      const row = reshape(
        build,
        g,
        dims.map((dim, i) => (i === axis ? 1 : dim)),
      );
      const before = dims.map((_, i) => (i === axis ? index : 0));
      const after = dims.map((dim, i) => (i === axis ? dim - index - 1 : 0));
      return [padZeros(build, row, before, after)];
    }
    return [scatterAlongAxis(build, g, axis, node.input(1), dims[axis])];
  },
  evaluate: (node, [x, indices]) => {
    const axis = gatherAxis(node, x!.dims.length);
    const strides = stridesOf(x!.dims);
    const rank = indices!.dims.length;
    const positions = indices!.toNumbers();
    const indexStrides = stridesOf(indices!.dims);
    const dims = [...x!.dims.slice(0, axis), ...indices!.dims, ...x!.dims.slice(axis + 1)];
    return [
      pick(x!, dims, (index) => {
        const position = positions[offsetOf(index.slice(axis, axis + rank), indexStrides)];
        const wrapped = wrapIndex(node, position, x!.dims[axis]);
        return offsetOf([...index.slice(0, axis), wrapped, ...index.slice(axis + rank)], strides);
      }),
    ];
  },
};

/** Maps an index from -length..length-1 to 0..length-1. */
function wrapIndex(node: Node, index: number, length: number): number {
  const wrapped = index < 0 ? index + length : index;
  if (wrapped < 0 || wrapped >= length) throw shapeError(node, `index ${index} is outside a dimension of ${length}.`);
  return wrapped;
}

/** out[i][j] = x[index[i][j]][j] along the axis. */
export const GatherElements: OpRule = {
  infer: (context) => {
    checkIndices(context, 1);
    const [rank, indexRank] = [context.shape(0).length, context.shape(1).length];
    if (rank !== indexRank) throw shapeError(context.node, `has indices of rank ${indexRank} for rank ${rank}.`);
    return [{ dtype: context.type(0).dtype, shape: context.shape(1) }];
  },
  grad: ({ build, node, outputGrads }) => {
    const dims = staticShape(node.input(0), node);
    const axis = gatherAxis(node, dims.length);
    const inputs = [zeros(build, dims), node.input(1), outputGrads[0]!];
    return [build.op('ScatterElements', inputs, { axis, reduction: 'add' })];
  },
  evaluate: (node, [x, indices]) => {
    const axis = gatherAxis(node, x!.dims.length);
    const strides = stridesOf(x!.dims);
    const positions = indices!.toNumbers();
    let next = 0;
    return [
      pick(x!, indices!.dims, (index) => {
        const position = wrapIndex(node, positions[next++], x!.dims[axis]);
        return offsetOf(
          index.map((i, at) => (at === axis ? position : i)),
          strides,
        );
      }),
    ];
  },
};

/** Reads slices whose leading coordinates are the rows of the indices. */
export const GatherND: OpRule = {
  infer: (context) => {
    const { node, shape } = context;
    checkIndices(context, 1);
    const [dims, indices] = [shape(0), shape(1)];
    const batch = node.attribute('batch_dims', 'int', 0);
    const depth = indices.at(-1);
    if (typeof depth !== 'number' || depth > dims.length - batch) {
      throw shapeError(node, `indices ${formatShape(indices)} do not fit an input of shape ${formatShape(dims)}.`);
    }
    return [{ dtype: context.type(0).dtype, shape: [...indices.slice(0, -1), ...dims.slice(batch + depth)] }];
  },
  grad: ({ build, node, outputGrads }) => {
    if (node.attribute('batch_dims', 'int', 0) !== 0) {
      throw unsupportedForm(node, 'its gradient with batch_dims other than 0 is not defined here.');
    }
    const dims = staticShape(node.input(0), node);
    const depth = staticShape(node.input(1), node).at(-1)!;
    const indexed = dims.slice(0, depth);
    // Coordinates become positions in the flattened leading dimensions.
    const length = build.int64s(indexed);
    const isNegative = build.op('Less', [node.input(1), build.scalar(0, 'int64')]);
    const wrapped = build.op('Where', [isNegative, build.op('Add', [node.input(1), length]), node.input(1)]);
    const steps = build.op('Mul', [wrapped, build.int64s(stridesOf(indexed))]);
    const positions = build.op('ReduceSum', [steps, build.int64s([-1])], { keepdims: 0 });
    return [reshape(build, scatterAlongAxis(build, outputGrads[0]!, 0, positions, sizeOf(indexed)), dims)];
  },
  evaluate: (node, [x, indices]) => {
    const batch = node.attribute('batch_dims', 'int', 0);
    const depth = indices!.dims.at(-1)!;
    const strides = stridesOf(x!.dims);
    const positions = indices!.toNumbers();
    const lead = indices!.dims.slice(0, -1);
    const leadStrides = stridesOf(lead);
    return [
      pick(x!, [...lead, ...x!.dims.slice(batch + depth)], (index) => {
        const row = offsetOf(index.slice(0, lead.length), leadStrides) * depth;
        const coordinates = positions
          .slice(row, row + depth)
          .map((position, i) => wrapIndex(node, position, x!.dims[batch + i]));
        return offsetOf([...index.slice(0, batch), ...coordinates, ...index.slice(lead.length)], strides);
      }),
    ];
  },
};

/** `values` = [off, on]; the new axis has length `depth`. */
export const OneHot: OpRule = {
  infer: ({ node, type, shape, constant }) => {
    const indices = shape(0);
    const axis = oneHotAxis(node, indices.length);
    const depth: Dim = constant(1)?.toNumbers()[0] ?? freshDim(node, axis);
    return [{ dtype: type(2).dtype, shape: [...indices.slice(0, axis), depth, ...indices.slice(axis)] }];
  },
  grad: 'none',
  evaluate: (node, [indices, depth, values]) => {
    const axis = oneHotAxis(node, indices!.dims.length);
    const length = depth!.toNumbers()[0];
    const [off, on] = values!.toNumbers();
    const dims = [...indices!.dims.slice(0, axis), length, ...indices!.dims.slice(axis)];
    const positions = indices!.toNumbers();
    const strides = stridesOf(indices!.dims);
    const result: number[] = [];
    for (const index of indicesOf(dims)) {
      const position = positions[offsetOf([...index.slice(0, axis), ...index.slice(axis + 1)], strides)];
      result.push((position < 0 ? position + length : position) === index[axis] ? on : off);
    }
    return [fromNumbers(values!.dtype, dims, result)];
  },
};

const oneHotAxis = (node: Node, rank: number): number =>
  normalizeAxis(node, node.attribute('axis', 'int', -1), rank + 1);
