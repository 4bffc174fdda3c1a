/** @file What gradient rules share: undoing broadcasts, and reductions in the form that runs fastest. */
import { DTYPES, Tensor, sameShape, sizeOf } from '../graph';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { constantOf } from './constant-value';
import { staticShape } from './shapes';

/**
 * `value` under other static dimensions. Adds no node when they are equal already, reads through an earlier Reshape, and
 * shares one that exists.
 */
export function reshape(build: GraphBuilder, value: Value, dims: readonly number[]): Value {
  if (value.shape && sameShape(value.shape, dims)) return value;
  if (value.producer?.opType === 'Reshape') return reshape(build, value.producer.input(0), dims);
  const existing = value.consumers.find(
    (node) =>
      node.opType === 'Reshape' &&
      node.input(0) === value &&
      node.output().shape &&
      sameShape(node.output().shape!, dims),
  );
  return existing?.output() ?? build.op('Reshape', [value, build.int64s(dims)]);
}

/** Sums over `axes`, keeping them as 1. */
export const reduceSum = (build: GraphBuilder, value: Value, axes: readonly number[]): Value =>
  build.op('ReduceSum', [value, build.int64s(axes)], { keepdims: 1 });

/** `[rows, cols]` with the last dimension kept and all others flattened. */
export function flattenRows(build: GraphBuilder, value: Value): Value {
  const dims = staticShape(value);
  const columns = dims.at(-1) ?? 1;
  return reshape(build, value, [columns === 0 ? 0 : sizeOf(dims) / columns, columns]);
}

/**
 * Sums the rows of `value` (all dimensions but the last) as `ones x value`: a matrix product is 2-3 times faster in
 * ONNX Runtime than ReduceSum over the leading axis.
 * @returns a value of shape [columns]
 */
export function sumRows(build: GraphBuilder, value: Value): Value {
  const flat = flattenRows(build, value);
  const [rows] = staticShape(flat);
  return build.op('MatMul', [build.ones(rows), flat]);
}

/** Zeros of static dimensions, as a graph value that takes no space in the file. */
export const zeros = (build: GraphBuilder, dims: readonly number[]): Value =>
  build.op('Expand', [build.scalar(0), build.int64s(dims)], {}, 'zeros');

/**
 * Undoes broadcasting: sums `gradient` over the dimensions along which `target` was repeated, so that the result has
 * the target's shape.
 */
export function unbroadcast(build: GraphBuilder, gradient: Value, target: Value): Value {
  const from = staticShape(gradient);
  const to = staticShape(target);
  if (sameShape(from, to)) return gradient;
  const padded = [...Array<number>(from.length - to.length).fill(1), ...to];
  const axes = from.flatMap((dim, axis) => (dim !== padded[axis] ? [axis] : []));
  // A bias: everything but the last dimension is summed.
  const kept = padded.filter((dim) => dim !== 1);
  const sumsRows = kept.length === 1 && padded.at(-1) === kept[0] && from.at(-1) === kept[0];
  const summed = sumsRows ? sumRows(build, gradient) : axes.length > 0 ? reduceSum(build, gradient, axes) : gradient;
  return reshape(build, summed, to);
}

/** Up to so many rows, adding rows as a product with a one-hot matrix is faster than adding them one by one, */
const MAX_ONE_HOT = 256;
/** as long as that matrix is not larger than the caches (a whole weight looked up in a table of 16 values). */
const MAX_ONE_HOT_ELEMENTS = 2 ** 22;

/** Whether indices are known now and all different. */
function areDistinct(indices: Value, length: number): boolean {
  const known = constantOf(indices)
    ?.toNumbers()
    .map((index) => (index < 0 ? index + length : index));
  return known !== undefined && new Set(known).size === known.length;
}

/**
 * Adds rows into zeros [length, width]: result[ids[r]] += rows[r].
 *
 * ONNX Runtime (1.30) adds in ScatterND from several threads without locks, so that sums over repeated rows come out
 * wrong and different in every run. It is only used for rows that are known to be different.
 * @param ids [n] int64 or int32; negative ones count from the end
 * @param rows [n, width]
 */
function addRows(build: GraphBuilder, ids: Value, rows: Value, length: number): Value {
  const [count, width] = staticShape(rows);
  if (areDistinct(ids, length)) {
    const inputs = [zeros(build, [length, width]), reshape(build, ids, [count, 1]), rows];
    return build.op('ScatterND', inputs, { reduction: 'add' });
  }
  if (length <= MAX_ONE_HOT && count * length <= MAX_ONE_HOT_ELEMENTS) {
    const wide = ids.dtype === 'int64' ? ids : build.op('Cast', [ids], { to: DTYPES.int64.onnx });
    const values = build.constant(Tensor.float32([2], [0, 1]), 'offOn');
    const oneHot = build.op('OneHot', [reshape(build, wide, [count]), build.scalar(length, 'int64'), values]);
    return build.op('Gemm', [oneHot, rows], { transA: 1 });
  }
  const everywhere = build.op('Expand', [reshape(build, ids, [count, 1]), build.int64s([count, width])]);
  return build.op('ScatterElements', [zeros(build, [length, width]), everywhere, rows], { axis: 0, reduction: 'add' });
}

/**
 * The transpose of Gather: adds the slices of `updates` along `axis` into zeros of `length` at `indices`.
 * @param updates Shape [...outer, ...indices, ...inner], where `axis` is the number of outer dimensions.
 * @returns shape [...outer, length, ...inner]
 */
export function scatterAlongAxis(
  build: GraphBuilder,
  updates: Value,
  axis: number,
  indices: Value,
  length: number,
): Value {
  const dims = staticShape(updates);
  const indexRank = staticShape(indices).length;
  const outer = dims.slice(0, axis);
  const inner = dims.slice(axis + indexRank);
  const count = sizeOf(dims.slice(axis, axis + indexRank));
  if (axis === 0) {
    const added = addRows(build, indices, reshape(build, updates, [count, sizeOf(inner)]), length);
    return reshape(build, added, [length, ...inner]);
  }
  // The outer dimensions move behind the indexed one for the time being.
  const swap = { perm: [1, 0, 2] };
  const slices = reshape(build, updates, [sizeOf(outer), count, sizeOf(inner)]);
  const rows = reshape(build, build.op('Transpose', [slices], swap), [count, sizeOf(outer) * sizeOf(inner)]);
  const added = reshape(build, addRows(build, indices, rows, length), [length, sizeOf(outer), sizeOf(inner)]);
  return reshape(build, build.op('Transpose', [added], swap), [...outer, length, ...inner]);
}
