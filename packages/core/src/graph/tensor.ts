import { invalid } from '../errors';
import { byteLength, DTYPES } from './dtype';
import type { DType, TypedArrayOf } from './dtype';
import { formatShape, sizeOf } from './shape';

/**
 * A constant: dtype, static dimensions and little-endian row-major bytes. The bytes may be a view of a larger buffer
 * (a file read once, a parameter slab): a Tensor never copies what it is given.
 */
export class Tensor<D extends DType = DType> {
  constructor(
    readonly dtype: D,
    readonly dims: readonly number[],
    readonly bytes: Uint8Array,
  ) {
    const expected = byteLength(dtype, sizeOf(dims));
    if (bytes.byteLength !== expected) {
      throw invalid(
        'tensor.size',
        `A ${dtype}${formatShape(dims)} tensor needs ${expected} bytes, but ${bytes.byteLength} were given.`,
      );
    }
  }

  /** Wraps a typed array without copying. */
  static of<D extends DType>(dtype: D, dims: readonly number[], data: TypedArrayOf<D>): Tensor<D> {
    return new Tensor(dtype, dims, new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength));
  }

  static float32(dims: readonly number[], values: ArrayLike<number>): Tensor<'float32'> {
    return Tensor.of('float32', dims, values instanceof Float32Array ? values : Float32Array.from(values));
  }

  static int64(dims: readonly number[], values: readonly (number | bigint)[]): Tensor<'int64'> {
    return Tensor.of('int64', dims, BigInt64Array.from(values, BigInt));
  }

  static bool(dims: readonly number[], values: readonly boolean[]): Tensor<'bool'> {
    return Tensor.of('bool', dims, Uint8Array.from(values, Number));
  }

  /** A rank-0 tensor. */
  static scalar(value: number, dtype: 'float32' | 'int64' | 'int32' = 'float32'): Tensor {
    if (dtype === 'int64') return Tensor.int64([], [value]);
    if (dtype === 'int32') return Tensor.of('int32', [], Int32Array.of(value));
    return Tensor.float32([], [value]);
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.dims);
  }

  /** The elements as a typed array: a view when the bytes are aligned for it, else an aligned copy. */
  get data(): TypedArrayOf<D> {
    const { array } = DTYPES[this.dtype];
    const aligned = this.bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? this.bytes : new Uint8Array(this.bytes);
    const length = aligned.byteLength / array.BYTES_PER_ELEMENT;
    return new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, length);
  }

  is<E extends DType>(dtype: E): this is Tensor<E> {
    const own: DType = this.dtype;
    return own === dtype;
  }

  /** The elements as plain numbers; for shape arithmetic and other small integer tensors. */
  toNumbers(): number[] {
    return Array.from(this.data as ArrayLike<number | bigint>, Number);
  }

  /** The same bytes under other dimensions. */
  reshape(dims: readonly number[]): Tensor<D> {
    return new Tensor(this.dtype, dims, this.bytes);
  }
}
