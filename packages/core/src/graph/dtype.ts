/** Element types that modelpress reads and writes; names follow numpy, values ONNX's `TensorProto.DataType`. */
export const DTYPES = {
  float32: { onnx: 1, bits: 32, array: Float32Array },
  uint8: { onnx: 2, bits: 8, array: Uint8Array },
  int8: { onnx: 3, bits: 8, array: Int8Array },
  uint16: { onnx: 4, bits: 16, array: Uint16Array },
  int16: { onnx: 5, bits: 16, array: Int16Array },
  int32: { onnx: 6, bits: 32, array: Int32Array },
  int64: { onnx: 7, bits: 64, array: BigInt64Array },
  bool: { onnx: 9, bits: 8, array: Uint8Array },
  /** Bits only; JavaScript has no half-precision array on every supported Node. */
  float16: { onnx: 10, bits: 16, array: Uint16Array },
  float64: { onnx: 11, bits: 64, array: Float64Array },
  uint32: { onnx: 12, bits: 32, array: Uint32Array },
  uint64: { onnx: 13, bits: 64, array: BigUint64Array },
  bfloat16: { onnx: 16, bits: 16, array: Uint16Array },
  /** Two elements a byte, low nibble first. */
  uint4: { onnx: 21, bits: 4, array: Uint8Array },
  int4: { onnx: 22, bits: 4, array: Uint8Array },
} as const;

export type DType = keyof typeof DTYPES;

/** The typed array that holds elements of a dtype, e.g. `Float32Array` for `float32`. */
export type TypedArrayOf<D extends DType> = ArrayOf<(typeof DTYPES)[D]['array']>;
/** `Float32Array` for `Float32ArrayConstructor`, over any kind of buffer. */
type ArrayOf<C extends { readonly prototype: unknown }> = C['prototype'];
export type TypedArray = TypedArrayOf<DType>;

const BY_ONNX = new Map<number, DType>(Object.entries(DTYPES).map(([name, { onnx }]) => [onnx, name as DType]));

/** The dtype for an ONNX `TensorProto.DataType` number, or undefined for types we do not handle (string, complex, float8). */
export const dtypeFromOnnx = (code: number): DType | undefined => BY_ONNX.get(code);

export const isFloat = (dtype: DType): boolean =>
  dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16';

/** Bytes that `count` elements occupy. */
export const byteLength = (dtype: DType, count: number): number => Math.ceil((DTYPES[dtype].bits * count) / 8);
