/** @file Takes the bytes of a protobuf message apart. Everything that is returned is a view of them. */
import { invalid, limitExceeded } from '../errors';

/** How a payload is delimited on the wire. */
export const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const;
export type WireType = (typeof WireType)[keyof typeof WireType];

/** Nesting of messages; ONNX itself needs 6, and 5 more for each control-flow body inside another. */
const MAX_DEPTH = 64;
/** Fields in a file. A BERT-base has some 30,000; a file of empty messages could claim half its size. */
const MAX_PAYLOADS = 4_000_000;

export const malformed = (reason: string): Error =>
  invalid('onnx.malformed', `The file is not a valid ONNX model: ${reason}. It may be truncated.`);

/** What reading one file may still use up, so that a hostile file is refused before it fills the memory. */
export class ReadBudget {
  private depth = 0;
  private payloads = 0;

  countPayload(): void {
    if (++this.payloads > MAX_PAYLOADS) {
      throw limitExceeded('onnx.too-many-fields', `The file has more than ${MAX_PAYLOADS} fields.`);
    }
  }

  /** Runs `read` one message deeper. */
  nested<T>(read: () => T): T {
    if (++this.depth > MAX_DEPTH) {
      throw limitExceeded('onnx.too-deep', `Messages are nested more than ${MAX_DEPTH} deep.`);
    }
    const result = read();
    this.depth--;
    return result;
  }
}

/**
 * The payloads of a message by tag (field number * 8 + wire type), in the order of the file.
 * @throws ModelpressError `onnx.malformed`
 */
export function splitMessage(bytes: Uint8Array, budget: ReadBudget): Map<number, Uint8Array[]> {
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
    budget.countPayload();
    const tag = varint();
    if (tag < 8) throw malformed('a field has the number 0');
    const length = payloadLength(tag % 8);
    if (length > bytes.length - position) throw malformed('a field is longer than what is left');
    const payload = bytes.subarray(position, position + length);
    const list = payloads.get(tag);
    if (list) list.push(payload);
    else payloads.set(tag, [payload]);
    position += length;
  }
  return payloads;
}

/** Joins chunks; a single one is returned as it is. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1) return first;
  const joined = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}

export function parseVarint(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 7n) | BigInt(bytes[i] & 0x7f);
  return BigInt.asIntN(64, value);
}

/** Every varint in `bytes`. */
export function parseVarints(bytes: Uint8Array): BigInt64Array {
  if (bytes.length > 0 && bytes[bytes.length - 1] >= 0x80) throw malformed('a number is cut off');
  let count = 0;
  for (const byte of bytes) if (byte < 0x80) count++;

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

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** @throws ModelpressError `onnx.not-utf8` */
export function parseString(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid('onnx.not-utf8', 'The model has a name or string that is not UTF-8.');
  }
}
