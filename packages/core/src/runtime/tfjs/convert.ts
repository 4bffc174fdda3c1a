/** @file Tensors between our memory and TensorFlow.js, which knows float32, int32 and bool. */
import { invalid, unsupported } from '../../errors';
import type { DType, TypedArray } from '../../graph';
import { DTYPES, sizeOf } from '../../graph';
import type { HostTensor } from '../runtime';
import type { Tf, TfTensor } from './library';

export type TfDType = 'float32' | 'int32' | 'bool';

/** The TensorFlow.js dtype that computes for ours; a reason where none can. */
const TF_DTYPES: Readonly<Record<DType, TfDType | { readonly unsupported: string }>> = {
  float32: 'float32',
  bool: 'bool',
  int8: 'int32',
  uint8: 'int32',
  int16: 'int32',
  uint16: 'int32',
  int32: 'int32',
  /** Token ids, positions and shapes: all far below 2^31. */
  int64: 'int32',
  uint32: { unsupported: 'it has no unsigned 32-bit integers' },
  uint64: { unsupported: 'it has no 64-bit integers' },
  float64: { unsupported: 'it has no double precision' },
  float16: { unsupported: 'it has no half precision' },
  bfloat16: { unsupported: 'it has no half precision' },
  uint4: { unsupported: 'it has no 4-bit integers' },
  int4: { unsupported: 'it has no 4-bit integers' },
};

/** @throws ModelpressError `runtime.dtype` */
export function tfDType(dtype: DType): TfDType {
  const found = TF_DTYPES[dtype];
  if (typeof found === 'string') return found;
  throw unsupported('runtime.dtype', `TensorFlow.js cannot hold ${dtype} tensors: ${found.unsupported}.`);
}

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;

/** 64-bit integers as 32-bit ones; the ends of the range ("slice to the end") saturate. */
const narrow = (data: BigInt64Array): Int32Array =>
  Int32Array.from(data, (x) => Math.min(INT32_MAX, Math.max(INT32_MIN, Number(x))));

/** Copies host memory into a TensorFlow.js tensor. */
export function toTf(tf: Tf, { dtype, dims, data }: HostTensor): TfTensor {
  if (data.length !== sizeOf(dims)) {
    throw invalid('runtime.input', `A tensor of dimensions [${dims.join(',')}] was given ${data.length} elements.`);
  }
  const type = tfDType(dtype);
  // A typed array is copied because TensorFlow.js keeps what it is given, and the caller may write to it later.
  if (type === 'float32') return tf.tensor(Float32Array.from(data as Float32Array), [...dims], type);
  if (type === 'bool') return tf.tensor(Uint8Array.from(data as Uint8Array), [...dims], type);
  const integers = data instanceof BigInt64Array ? narrow(data) : Int32Array.from(data as Int32Array);
  return tf.tensor(integers, [...dims], type);
}

/** Copies a TensorFlow.js tensor into host memory of the given dtype, into `target` where one is given. */
export async function fromTf(tensor: TfTensor, dtype: DType, target?: HostTensor): Promise<HostTensor> {
  const values = await tensor.data();
  if (!target) {
    const { array } = DTYPES[dtype];
    return { dtype, dims: tensor.shape, data: fill(new array(values.length), values) };
  }
  if (target.data.length !== values.length) {
    throw invalid('runtime.input', `An output has ${values.length} elements, its memory ${target.data.length}.`);
  }
  fill(target.data, values);
  return target;
}

function fill(array: TypedArray, values: Float32Array | Int32Array | Uint8Array): TypedArray {
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) array.set(Array.from(values, BigInt));
  else array.set(values);
  return array;
}
