/** @file AttributeProto to and from Attribute. */
import { invalid, unsupported } from '../errors';
import type { ErrorDetails } from '../errors';
import type { Attribute, Graph } from '../graph';
import { fromInt64, toInt64 } from './integers';
import { AttributeKind, AttributeProto } from './proto';
import type { GraphProto } from './proto';
import { fromTensor, toTensor } from './tensor';
import type { ExternalData } from './tensor';
import { create } from './wire';

/**
 * @param toBody reads a control-flow body, whose nodes may refer to values around it
 * @throws ModelpressError `onnx.attribute-kind`, `onnx.integer-range`
 */
export function toAttribute(
  proto: AttributeProto,
  external: ExternalData,
  toBody: (body: GraphProto) => Graph,
  location: ErrorDetails,
): Attribute {
  const what = `Attribute "${proto.name ?? ''}" of node "${location.node ?? ''}"`;
  const present = <T>(value: T | undefined): T => {
    if (value !== undefined) return value;
    throw invalid('onnx.attribute-value', `${what} has no value.`, location);
  };
  switch (proto.type ?? 0) {
    // proto3 writers leave zeros and empty strings out
    case AttributeKind.Float:
      return { type: 'float', value: proto.f ?? 0 };
    case AttributeKind.Int:
      return { type: 'int', value: fromInt64(proto.i ?? 0n, what, location) };
    case AttributeKind.String:
      return { type: 'string', value: proto.s ?? '' };
    case AttributeKind.Tensor:
      return { type: 'tensor', value: toTensor(present(proto.t), external) };
    case AttributeKind.Graph:
      return { type: 'graph', value: toBody(present(proto.g)) };
    case AttributeKind.Floats:
      return { type: 'floats', value: Array.from(new Float32Array(Uint8Array.from(proto.floats).buffer)) };
    case AttributeKind.Ints:
      return { type: 'ints', value: Array.from(proto.ints, (value) => fromInt64(value, what, location)) };
    case AttributeKind.Strings:
      return { type: 'strings', value: proto.strings };
    default:
      throw unsupported('onnx.attribute-kind', `${what} has the unsupported ONNX kind ${proto.type}.`, location);
  }
}

/** @throws ModelpressError `onnx.not-an-integer` */
export function fromAttribute(
  name: string,
  attribute: Attribute,
  fromBody: (body: Graph) => GraphProto,
  location: ErrorDetails,
): AttributeProto {
  const what = `Attribute "${name}" of node "${location.node ?? ''}"`;
  const make = (type: number, value: Partial<AttributeProto>): AttributeProto =>
    create(AttributeProto, { name, type, ...value });
  switch (attribute.type) {
    case 'float':
      return make(AttributeKind.Float, { f: attribute.value });
    case 'int':
      return make(AttributeKind.Int, { i: toInt64(attribute.value, what, location) });
    case 'string':
      return make(AttributeKind.String, { s: attribute.value });
    case 'tensor':
      return make(AttributeKind.Tensor, { t: fromTensor('', attribute.value) });
    case 'graph':
      return make(AttributeKind.Graph, { g: fromBody(attribute.value) });
    case 'floats':
      return make(AttributeKind.Floats, { floats: new Uint8Array(Float32Array.from(attribute.value).buffer) });
    case 'ints':
      return make(AttributeKind.Ints, {
        ints: BigInt64Array.from(attribute.value, (value) => toInt64(value, what, location)),
      });
    case 'strings':
      return make(AttributeKind.Strings, { strings: attribute.value });
  }
}
