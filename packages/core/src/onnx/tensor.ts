/** @file TensorProto to and from Tensor. */
import { invalid, unsupported } from '../errors';
import { byteLength, DTYPES, dtypeFromOnnx, sizeOf, Tensor } from '../graph';
import type { DType } from '../graph';
import { fromInt64 } from './integers';
import { DataLocation, TensorProto } from './proto';
import { create } from './wire';

/** Bytes of tensors whose data lies in side files. */
export type ExternalData = ReadonlyMap<TensorProto, Uint8Array>;

const describe = (proto: TensorProto): string => `Tensor "${proto.name ?? ''}"`;

export function dtypeOf(proto: TensorProto): DType {
  const dtype = dtypeFromOnnx(proto.dataType ?? 0);
  if (dtype) return dtype;
  throw unsupported(
    'onnx.data-type',
    `${describe(proto)} has the ONNX element type ${proto.dataType}, which is not supported (strings, complex numbers and 8-bit floats are not).`,
  );
}

/** @throws ModelpressError `onnx.dims` for a negative or absurd size */
export function dimsOf(proto: TensorProto): readonly number[] {
  const dims = Array.from(proto.dims, (dim) => fromInt64(dim, `A dimension of ${describe(proto)}`));
  if (dims.every((dim) => dim >= 0) && Number.isSafeInteger(sizeOf(dims))) return dims;
  throw invalid('onnx.dims', `${describe(proto)} has the impossible dimensions [${dims.join(',')}].`);
}

/** Bytes that the tensor's data must have. */
export const expectedBytes = (proto: TensorProto): number => byteLength(dtypeOf(proto), sizeOf(dimsOf(proto)));

/** Wraps a tensor's data without copying it, unless it is stored as a list of integers. */
export function toTensor(proto: TensorProto, external: ExternalData): Tensor {
  if (proto.segment) {
    throw unsupported('onnx.segment', `${describe(proto)} is stored in segments, which is not supported.`);
  }
  const dtype = dtypeOf(proto);
  const dims = dimsOf(proto);
  const data = dataOf(proto, dtype, external);
  if (data.byteLength === expectedBytes(proto)) return new Tensor(dtype, dims, data);
  throw invalid(
    'onnx.tensor-size',
    `${describe(proto)} is ${dtype}[${dims.join(',')}] and needs ${expectedBytes(proto)} bytes, but has ${data.byteLength}.`,
  );
}

function dataOf(proto: TensorProto, dtype: DType, external: ExternalData): Uint8Array {
  if (proto.dataLocation === DataLocation.External) {
    const data = external.get(proto);
    if (data) return data;
    throw unsupported(
      'onnx.external-data',
      `${describe(proto)} lies in a side file; read the model from its folder, not from its bytes alone.`,
    );
  }
  return proto.rawData ?? typedDataOf(proto, dtype);
}

/** Data in the field that ONNX assigns to the dtype, as little-endian bytes. */
function typedDataOf(proto: TensorProto, dtype: DType): Uint8Array {
  switch (dtype) {
    case 'float32':
      return proto.floatData;
    case 'float64':
      return proto.doubleData;
    case 'int64':
      return bytesOf(proto.int64Data);
    case 'uint64':
      return bytesOf(proto.uint64Data);
    case 'uint32':
      return bytesOf(Uint32Array.from(proto.uint64Data, Number));
    case 'int32':
    case 'int16':
    case 'int8':
    case 'uint16':
    case 'uint8':
    case 'bool':
    case 'float16':
    case 'bfloat16':
    case 'int4':
    case 'uint4':
      return bytesOf(narrow(dtype, proto.int32Data));
  }
}

/** Values in the dtype's own array; 4-bit elements come in pairs already. */
function narrow(dtype: DType, values: BigInt64Array): ArrayBufferView {
  const { array } = DTYPES[dtype];
  const narrowed = new array(values.length);
  if (narrowed instanceof BigInt64Array || narrowed instanceof BigUint64Array) narrowed.set(values);
  else narrowed.set(Array.from(values, Number));
  return narrowed;
}

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A tensor's header; its data goes into `rawData` or a side file. */
export const tensorHeader = (name: string, { dtype, dims }: Tensor): TensorProto =>
  create(TensorProto, { name, dims: BigInt64Array.from(dims, BigInt), dataType: DTYPES[dtype].onnx });

/** A TensorProto that refers to the tensor's bytes. */
export const fromTensor = (name: string, tensor: Tensor): TensorProto => ({
  ...tensorHeader(name, tensor),
  rawData: tensor.bytes,
});
