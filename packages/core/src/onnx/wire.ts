/**
 * @file The Protocol Buffers wire format, driven by field tables: the part of it that ONNX's messages use.
 *
 * A message is decoded in two steps: its bytes are split into payloads by field, all of them views, and each field then
 * turns its payloads into a value. Encoding collects chunks by reference and joins them once, so tensor data is never
 * copied on reading and exactly once on writing.
 */
import { invalid, limitExceeded } from '../errors';

/** How a payload is delimited on the wire. */
const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const;
type WireType = (typeof WireType)[keyof typeof WireType];

/** One field of a message type: its number, and its value to and from payloads. */
export interface Field<T> {
  readonly number: number;
  /** `payloads(wireType)` are the field's occurrences in the order of the file. */
  decode(payloads: (wireType: WireType) => readonly Uint8Array[], depth: number): T;
  encode(writer: Writer, value: T): void;
}

/** The fields of message type `M`; a missing field does not compile. */
export type Fields<M> = { readonly [K in keyof M]: Field<M[K]> };

/** Nesting of messages; ONNX itself needs 6, and 5 more for each control-flow body inside another. */
const MAX_DEPTH = 64;
/** What readers of protobuf accept in one message. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

const malformed = (reason: string): Error =>
  invalid('onnx.malformed', `The file is not a valid ONNX model: ${reason}. It may be truncated.`);

// ---------------------------------------------------------------------------------------------------- reading

/** Reads a message. Unknown fields are ignored. @throws ModelpressError `onnx.malformed` */
export function decode<M>(fields: Fields<M>, bytes: Uint8Array, depth = 0): M {
  if (depth > MAX_DEPTH) throw limitExceeded('onnx.too-deep', `Messages are nested more than ${MAX_DEPTH} deep.`);
  const payloads = split(bytes);
  const entries = Object.entries<Field<unknown>>(fields).map(([name, field]) => {
    const value = field.decode((wireType) => payloads.get(field.number * 8 + wireType) ?? [], depth);
    return [name, value] as const;
  });
  return Object.fromEntries(entries) as M;
}

/** The payloads of a message by tag (field number * 8 + wire type), as views. */
function split(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const payloads = new Map<number, Uint8Array[]>();
  let position = 0;

  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[position++];
      if (byte === undefined) throw malformed('a number is cut off');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed('a number is longer than 10 bytes');
  };

  /** Length of the payload that begins at `position`. */
  const payloadLength = (wireType: number): number => {
    switch (wireType) {
      case WireType.Varint: {
        const start = position;
        varint();
        const length = position - start;
        position = start;
        return length;
      }
      case WireType.Fixed64:
        return 8;
      case WireType.Bytes:
        return varint();
      case WireType.Fixed32:
        return 4;
      default:
        throw malformed(`wire type ${wireType} is unknown`);
    }
  };

  while (position < bytes.length) {
    const tag = varint();
    if (tag < 8) throw malformed('a field has the number 0');
    const length = payloadLength(tag % 8);
    if (length > bytes.length - position) throw malformed('a field is longer than what is left');
    const list = payloads.get(tag);
    const payload = bytes.subarray(position, position + length);
    if (list) list.push(payload);
    else payloads.set(tag, [payload]);
    position += length;
  }
  return payloads;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const [first] = chunks;
  if (first && chunks.length === 1) return first;
  const joined = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}

/** Every varint in `bytes`. */
function parseVarints(bytes: Uint8Array): BigInt64Array {
  let count = 0;
  for (const byte of bytes) if (byte < 0x80) count++;
  if (bytes.length > 0 && bytes[bytes.length - 1] >= 0x80) throw malformed('a number is cut off');

  const values = new BigInt64Array(count);
  let position = 0;
  for (let i = 0; i < count; i++) {
    const start = position;
    while (bytes[position] >= 0x80) position++;
    if (position++ - start > 9) throw malformed('a number is longer than 10 bytes');
    values[i] = parseVarint(bytes.subarray(start, position));
  }
  return values;
}

function parseVarint(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 7n) | BigInt(bytes[i] & 0x7f);
  return BigInt.asIntN(64, value);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** @throws ModelpressError `onnx.not-utf8` */
function parseString(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid('onnx.not-utf8', 'The model has a name or string that is not UTF-8.');
  }
}

// ---------------------------------------------------------------------------------------------------- writing

/** Collects the chunks of a message. */
export class Writer {
  private readonly chunks: Uint8Array[] = [];
  private pending: number[] = [];
  private length = 0;

  /** Appends bytes by reference. */
  raw(bytes: Uint8Array): void {
    this.flush();
    this.chunks.push(bytes);
    this.length += bytes.length;
  }

  varint(value: bigint | number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 0x7fn; rest >>= 7n) this.pending.push(Number(rest & 0x7fn) | 0x80);
    this.pending.push(Number(rest));
  }

  tag(field: number, wireType: WireType): void {
    this.varint(field * 8 + wireType);
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.tag(field, WireType.Bytes);
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** Appends what `body` writes as one length-delimited field. */
  message(field: number, body: (inner: Writer) => void): void {
    const inner = new Writer();
    body(inner);
    inner.flush();
    this.tag(field, WireType.Bytes);
    this.varint(inner.length);
    this.flush();
    for (const chunk of inner.chunks) this.chunks.push(chunk);
    this.length += inner.length;
  }

  /** Joins everything. @throws ModelpressError `onnx.too-large` */
  finish(): Uint8Array {
    return concat(this.parts());
  }

  /** Everything in order; large parts are those that were given. @throws ModelpressError `onnx.too-large` */
  parts(): readonly Uint8Array[] {
    this.flush();
    if (this.length > MAX_MESSAGE_BYTES) {
      const megabytes = Math.round(this.length / 1e6);
      throw limitExceeded(
        'onnx.too-large',
        `The model has ${megabytes} MB, more than one ONNX file can hold: write its weights to a side file.`,
      );
    }
    return this.chunks;
  }

  private flush(): void {
    if (this.pending.length === 0) return;
    this.chunks.push(Uint8Array.from(this.pending));
    this.length += this.pending.length;
    this.pending = [];
  }
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

// ----------------------------------------------------------------------------------------------- kinds of field

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
  decode(payloads, depth) {
    const found = payloads(WireType.Bytes);
    // A message that occurs twice is merged, which is what decoding the concatenation does.
    return found.length > 0 ? decode(fields(), concat(found), depth + 1) : undefined;
  },
  encode(writer, value) {
    if (value) writer.message(number, (inner) => encode(fields(), value, inner));
  },
});

export const messages = <M>(number: number, fields: () => Fields<M>): Field<readonly M[]> => ({
  number,
  decode: (payloads, depth) => payloads(WireType.Bytes).map((payload) => decode(fields(), payload, depth + 1)),
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
