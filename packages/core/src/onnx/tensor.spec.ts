import fc from 'fast-check';
import type { DType } from '../graph';
import { DTYPES, Tensor } from '../graph';
import { TensorProto } from './proto';
import { fromTensor, toTensor } from './tensor';
import { tensors } from './testing';
import { create } from './wire';

const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer);
const read = (dtype: DType, count: number, data: Partial<TensorProto>): Tensor =>
  toTensor(
    create(TensorProto, { dataType: DTYPES[dtype].onnx, dims: BigInt64Array.of(BigInt(count)), ...data }),
    new Map(),
  );

describe('tensors', () => {
  it('refer to their bytes and come back the same', () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        const proto = fromTensor('w', tensor);
        expect(proto.rawData).toBe(tensor.bytes);
        expect(toTensor(proto, new Map())).toEqual(tensor);
      }),
    );
  });

  const typed: [DType, number, Partial<TensorProto>, readonly number[]][] = [
    ['float32', 2, { floatData: bytesOf(Float32Array.of(1.5, -2)) }, [1.5, -2]],
    ['float64', 1, { doubleData: bytesOf(Float64Array.of(0.1)) }, [0.1]],
    ['int64', 2, { int64Data: BigInt64Array.of(-1n, 2n) }, [-1, 2]],
    ['uint64', 1, { uint64Data: BigInt64Array.of(7n) }, [7]],
    ['uint32', 1, { uint64Data: BigInt64Array.of(2n ** 32n - 1n) }, [2 ** 32 - 1]],
    ['int32', 2, { int32Data: BigInt64Array.of(-1n, 2n) }, [-1, 2]],
    ['int8', 2, { int32Data: BigInt64Array.of(-128n, 127n) }, [-128, 127]],
    ['uint8', 1, { int32Data: BigInt64Array.of(255n) }, [255]],
    ['bool', 2, { int32Data: BigInt64Array.of(0n, 1n) }, [0, 1]],
    ['float16', 1, { int32Data: BigInt64Array.of(0x3c00n) }, [0x3c00]],
    ['bfloat16', 1, { int32Data: BigInt64Array.of(0x3f80n) }, [0x3f80]],
    ['uint4', 3, { int32Data: BigInt64Array.of(0x21n, 0x03n) }, [0x21, 0x03]],
  ];

  it.each(typed)('reads %s from the field that ONNX stores it in', (dtype, count, data, expected) => {
    expect(read(dtype, count, data).toNumbers()).toEqual(expected);
  });
});
