/** @file The messages of onnx.proto, as far as modelpress uses them: a type and a field table each. */
import {
  blobs,
  bytes,
  doubles,
  float,
  floats,
  int32,
  int64,
  message,
  messages,
  string,
  strings,
  varints,
} from './wire';
import type { Fields } from './wire';

export interface StringStringEntryProto {
  readonly key: string | undefined;
  readonly value: string | undefined;
}
export const StringStringEntryProto: Fields<StringStringEntryProto> = { key: string(1), value: string(2) };

/** Values of `TensorProto.dataLocation`. */
export const DataLocation = { Default: 0, External: 1 } as const;

export interface TensorProto {
  readonly name: string | undefined;
  readonly dims: BigInt64Array;
  readonly dataType: number | undefined;
  readonly segment: Uint8Array | undefined;
  readonly rawData: Uint8Array | undefined;
  /** Little-endian bytes. */
  readonly floatData: Uint8Array;
  readonly doubleData: Uint8Array;
  readonly int32Data: BigInt64Array;
  readonly int64Data: BigInt64Array;
  readonly uint64Data: BigInt64Array;
  readonly externalData: readonly StringStringEntryProto[];
  readonly dataLocation: number | undefined;
}
export const TensorProto: Fields<TensorProto> = {
  dims: varints(1),
  dataType: int32(2),
  segment: bytes(3),
  floatData: floats(4),
  int32Data: varints(5),
  int64Data: varints(7),
  name: string(8),
  rawData: bytes(9),
  doubleData: doubles(10),
  uint64Data: varints(11),
  externalData: messages(13, () => StringStringEntryProto),
  dataLocation: int32(14),
};

/** Values of `AttributeProto.type`. */
export const AttributeKind = {
  Float: 1,
  Int: 2,
  String: 3,
  Tensor: 4,
  Graph: 5,
  Floats: 6,
  Ints: 7,
  Strings: 8,
} as const;

export interface AttributeProto {
  readonly name: string | undefined;
  readonly type: number | undefined;
  /** Set inside model-local functions only. */
  readonly refAttrName: string | undefined;
  readonly f: number | undefined;
  readonly i: bigint | undefined;
  readonly s: string | undefined;
  readonly t: TensorProto | undefined;
  readonly g: GraphProto | undefined;
  /** Little-endian bytes. */
  readonly floats: Uint8Array;
  readonly ints: BigInt64Array;
  readonly strings: readonly string[];
}
export const AttributeProto: Fields<AttributeProto> = {
  name: string(1),
  f: float(2),
  i: int64(3),
  s: string(4),
  t: message(5, () => TensorProto),
  g: message(6, () => GraphProto),
  floats: floats(7),
  ints: varints(8),
  strings: strings(9),
  type: int32(20),
  refAttrName: string(21),
};

export interface NodeProto {
  readonly name: string | undefined;
  readonly opType: string | undefined;
  readonly domain: string | undefined;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeProto[];
}
export const NodeProto: Fields<NodeProto> = {
  input: strings(1),
  output: strings(2),
  name: string(3),
  opType: string(4),
  attribute: messages(5, () => AttributeProto),
  domain: string(7),
};

export interface DimensionProto {
  readonly dimValue: bigint | undefined;
  readonly dimParam: string | undefined;
}
export const DimensionProto: Fields<DimensionProto> = { dimValue: int64(1), dimParam: string(2) };

export interface TensorShapeProto {
  readonly dim: readonly DimensionProto[];
}
export const TensorShapeProto: Fields<TensorShapeProto> = { dim: messages(1, () => DimensionProto) };

export interface TensorTypeProto {
  readonly elemType: number | undefined;
  /** Undefined: the rank is unknown. */
  readonly shape: TensorShapeProto | undefined;
}
export const TensorTypeProto: Fields<TensorTypeProto> = {
  elemType: int32(1),
  shape: message(2, () => TensorShapeProto),
};

/** Only tensors: for a sequence, map, optional or sparse tensor `tensorType` is undefined. */
export interface TypeProto {
  readonly tensorType: TensorTypeProto | undefined;
}
export const TypeProto: Fields<TypeProto> = { tensorType: message(1, () => TensorTypeProto) };

export interface ValueInfoProto {
  readonly name: string | undefined;
  readonly type: TypeProto | undefined;
}
export const ValueInfoProto: Fields<ValueInfoProto> = { name: string(1), type: message(2, () => TypeProto) };

export interface GraphProto {
  readonly name: string | undefined;
  readonly node: readonly NodeProto[];
  readonly initializer: readonly TensorProto[];
  /** Not supported, hence not decoded. */
  readonly sparseInitializer: readonly Uint8Array[];
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
  readonly valueInfo: readonly ValueInfoProto[];
}
export const GraphProto: Fields<GraphProto> = {
  node: messages(1, () => NodeProto),
  name: string(2),
  initializer: messages(5, () => TensorProto),
  input: messages(11, () => ValueInfoProto),
  output: messages(12, () => ValueInfoProto),
  valueInfo: messages(13, () => ValueInfoProto),
  sparseInitializer: blobs(15),
};

export interface OperatorSetIdProto {
  readonly domain: string | undefined;
  readonly version: bigint | undefined;
}
export const OperatorSetIdProto: Fields<OperatorSetIdProto> = { domain: string(1), version: int64(2) };

export interface ModelProto {
  readonly irVersion: bigint | undefined;
  readonly producerName: string | undefined;
  readonly graph: GraphProto | undefined;
  readonly opsetImport: readonly OperatorSetIdProto[];
  readonly metadataProps: readonly StringStringEntryProto[];
  /** Not supported, hence not decoded. */
  readonly functions: readonly Uint8Array[];
}
export const ModelProto: Fields<ModelProto> = {
  irVersion: int64(1),
  producerName: string(2),
  graph: message(7, () => GraphProto),
  opsetImport: messages(8, () => OperatorSetIdProto),
  metadataProps: messages(14, () => StringStringEntryProto),
  functions: blobs(25),
};
