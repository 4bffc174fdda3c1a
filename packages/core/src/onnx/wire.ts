/**
 * @file Protocol Buffers driven by field tables: the kinds of field that ONNX's messages have.
 *
 * A message is read in two steps: its bytes are split into payloads by field, all of them views, and each field then
 * turns its payloads into a value. Writing collects chunks by reference and joins them once. So tensor data is never
 * copied on reading and at most once on writing.
 */
import {
  concat,
  malformed,
  parseString,
  parseVarint,
  parseVarints,
  ReadBudget,
  splitMessage,
  WireType,
} from './wire-reader';
import { Writer } from './wire-writer';

/** One field of a message type: its number, and its value to and from payloads. */
export interface Field<T> {
  readonly number: number;
  /** `payloads(wireType)` are the field's occurrences in the order of the file. */
  decode(payloads: (wireType: WireType) => readonly Uint8Array[], budget: ReadBudget): T;
  encode(writer: Writer, value: T): void;
}

/** The fields of message type `M`; a missing field does not compile. */
export type Fields<M> = { readonly [K in keyof M]: Field<M[K]> };

/** Reads a message. Unknown fields are ignored. @throws ModelpressError `onnx.malformed` */
export function decode<M>(fields: Fields<M>, bytes: Uint8Array, budget = new ReadBudget()): M {
  const payloads = splitMessage(bytes, budget);
  const entries = Object.entries<Field<unknown>>(fields).map(([name, field]) => {
    const value = field.decode((wireType) => payloads.get(field.number * 8 + wireType) ?? [], budget);
    return [name, value] as const;
  });
  return Object.fromEntries(entries) as M;
}

/** A message with the given fields; the others are absent. */
export const create = <M>(fields: Fields<M>, values: Partial<M>): M => ({
  ...decode(fields, new Uint8Array(0)),
  ...values,
});

export function encode<M>(fields: Fields<M>, message: M, writer = new Writer()): Writer {
  for (const name of Object.keys(fields) as (keyof M)[]) fields[name].encode(writer, message[name]);
  return writer;
}

/** A singular field: the last occurrence counts, undefined when there is none. */
const singular = <T>(
  number: number,
  wireType: WireType,
  parse: (payload: Uint8Array) => T,
  encode: (writer: Writer, value: T) => void,
): Field<T | undefined> => ({
  number,
  decode(payloads) {
    const last = payloads(wireType).at(-1);
    return last && parse(last);
  },
  encode(writer, value) {
    if (value !== undefined) encode(writer, value);
  },
});

/** A 64-bit integer. */
export const int64 = (number: number): Field<bigint | undefined> =>
  singular(number, WireType.Varint, parseVarint, (writer, value) => {
    writer.tag(number, WireType.Varint);
    writer.varint(value);
  });

/** A 32-bit integer or an enumeration. */
export const int32 = (number: number): Field<number | undefined> =>
  singular(
    number,
    WireType.Varint,
    (payload) => Number(BigInt.asIntN(32, parseVarint(payload))),
    (writer, value) => {
      writer.tag(number, WireType.Varint);
      writer.varint(value);
    },
  );

export const float = (number: number): Field<number | undefined> =>
  singular(
    number,
    WireType.Fixed32,
    (payload) => new DataView(payload.buffer, payload.byteOffset).getFloat32(0, true),
    (writer, value) => {
      writer.tag(number, WireType.Fixed32);
      writer.raw(new Uint8Array(Float32Array.of(value).buffer));
    },
  );

export const string = (number: number): Field<string | undefined> =>
  singular(number, WireType.Bytes, parseString, (writer, value) => writer.bytes(number, Buffer.from(value)));

export const bytes = (number: number): Field<Uint8Array | undefined> =>
  singular(
    number,
    WireType.Bytes,
    (payload) => payload,
    (writer, value) => writer.bytes(number, value),
  );

/** Repeated bytes or undecoded messages. */
export const blobs = (number: number): Field<readonly Uint8Array[]> => ({
  number,
  decode: (payloads) => payloads(WireType.Bytes),
  encode: (writer, values) => values.forEach((value) => writer.bytes(number, value)),
});

/** `fields` is a function because message types refer to each other in cycles. */
export const message = <M>(number: number, fields: () => Fields<M>): Field<M | undefined> => ({
  number,
  decode(payloads, budget) {
    const found = payloads(WireType.Bytes);
    // A message that occurs twice is merged, which is what decoding the concatenation does.
    return found.length > 0 ? budget.nested(() => decode(fields(), concat(found), budget)) : undefined;
  },
  encode(writer, value) {
    if (value) writer.message(number, (inner) => encode(fields(), value, inner));
  },
});

export const messages = <M>(number: number, fields: () => Fields<M>): Field<readonly M[]> => ({
  number,
  decode: (payloads, budget) =>
    payloads(WireType.Bytes).map((payload) => budget.nested(() => decode(fields(), payload, budget))),
  encode(writer, values) {
    for (const value of values) writer.message(number, (inner) => encode(fields(), value, inner));
  },
});

export const strings = (number: number): Field<readonly string[]> => ({
  number,
  decode: (payloads) => payloads(WireType.Bytes).map(parseString),
  encode(writer, values) {
    for (const value of values) writer.bytes(number, Buffer.from(value));
  },
});

/** Repeated integers, packed or not (`bool`, `int32`, `int64` and `uint64` look the same on the wire). */
export const varints = (number: number): Field<BigInt64Array> => ({
  number,
  decode: (payloads) => parseVarints(concat([...payloads(WireType.Varint), ...payloads(WireType.Bytes)])),
  encode(writer, values) {
    if (values.length === 0) return;
    writer.message(number, (inner) => values.forEach((value) => inner.varint(value)));
  },
});

/** Repeated floats or doubles, packed or not, as their little-endian bytes: the layout of tensor data. */
const fixed = (number: number, wireType: WireType, width: 4 | 8): Field<Uint8Array> => ({
  number,
  decode(payloads) {
    const joined = concat([...payloads(wireType), ...payloads(WireType.Bytes)]);
    if (joined.length % width !== 0) throw malformed('a list of floating-point numbers is cut off');
    return joined;
  },
  encode(writer, values) {
    if (values.length > 0) writer.bytes(number, values);
  },
});

export const floats = (number: number): Field<Uint8Array> => fixed(number, WireType.Fixed32, 4);
export const doubles = (number: number): Field<Uint8Array> => fixed(number, WireType.Fixed64, 8);
