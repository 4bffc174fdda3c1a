/** @file Small-tensor arithmetic in JavaScript for the rules' `evaluate`. Numbers are exact to 2^53. */
import { unsupported } from '../errors';
import type { ModelpressError } from '../errors';
import { DTYPES, Tensor, sizeOf } from '../graph';
import type { DType, TypedArray } from '../graph';

type BitsOnly = 'float16' | 'bfloat16' | 'int4' | 'uint4';

/** Whether elements of this type can be computed with here: half precision and 4-bit tensors are bits to JavaScript. */
export const isComputable = (dtype: DType): dtype is Exclude<DType, BitsOnly> =>
  !['float16', 'bfloat16', 'int4', 'uint4'].includes(dtype);

/** Elements as numbers. */
export function numbersOf(tensor: Tensor): number[] {
  if (!isComputable(tensor.dtype)) throw notComputable(tensor.dtype);
  return tensor.toNumbers();
}

/** A tensor of `dtype` from numbers: integers wrap as in C, floats round. */
export function fromNumbers(dtype: DType, dims: readonly number[], values: readonly number[]): Tensor {
  if (!isComputable(dtype)) throw notComputable(dtype);
  if (dtype === 'int64' || dtype === 'uint64') {
    const outside = values.find((value) => !Number.isFinite(value));
    if (outside !== undefined) throw unsupported('ops.dtype', `${outside} has no ${dtype} form.`);
    const integers = values.map((value) => BigInt(Math.trunc(value)));
    return Tensor.of(dtype, dims, dtype === 'int64' ? BigInt64Array.from(integers) : BigUint64Array.from(integers));
  }
  return Tensor.of(dtype, dims, new DTYPES[dtype].array(values));
}

const notComputable = (dtype: DType): ModelpressError =>
  unsupported('ops.dtype', `${dtype} tensors are not computed in JavaScript.`);

/** Row-major strides in elements. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = dims.map(() => 1);
  for (let axis = dims.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1] * dims[axis + 1];
  return strides;
}

/** Every index of a tensor in row-major order. */
export function* indicesOf(dims: readonly number[]): Generator<readonly number[]> {
  const index = dims.map(() => 0);
  for (let left = sizeOf(dims); left > 0; left--) {
    yield index;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      if (++index[axis] < dims[axis]) break;
      index[axis] = 0;
    }
  }
}

/** Offset of an index in a row-major tensor. */
export const offsetOf = (index: readonly number[], strides: readonly number[]): number =>
  strides.reduce((offset, stride, axis) => offset + stride * index[axis], 0);

/** A tensor of the same dtype whose element at `index` is the input's element number `source(index)`. */
export function pick(input: Tensor, dims: readonly number[], source: (index: readonly number[]) => number): Tensor {
  const from = input.data;
  const to = new DTYPES[input.dtype].array(sizeOf(dims)) as TypedArray;
  let position = 0;
  for (const index of indicesOf(dims)) to[position++] = from[source(index)]!;
  return Tensor.of(input.dtype, dims, to);
}

/** Strides that read a tensor of `dims` as if it were broadcast to `rank` dimensions: 0 where it repeats. */
export function broadcastStrides(dims: readonly number[], rank: number): number[] {
  const strides = stridesOf(dims).map((stride, axis) => (dims[axis] === 1 ? 0 : stride));
  return [...Array<number>(rank - dims.length).fill(0), ...strides];
}

/** Dimensions that static shapes broadcast to (already known to be compatible). */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes.reduce((dim, dims) => {
      const own = dims[axis - rank + dims.length] ?? 1;
      return own === 1 ? dim : own;
    }, 1),
  );
}

/** Applies a function to broadcast elements. */
export function mapElements(dtype: DType, inputs: readonly Tensor[], f: (...x: number[]) => number): Tensor {
  const dims = broadcastDims(...inputs.map((input) => input.dims));
  const strides = inputs.map((input) => broadcastStrides(input.dims, dims.length));
  const values = inputs.map(numbersOf);
  const result: number[] = [];
  for (const index of indicesOf(dims)) {
    result.push(f(...values.map((list, i) => list[offsetOf(index, strides[i])])));
  }
  return fromNumbers(dtype, dims, result);
}
