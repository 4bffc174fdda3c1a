/** @file Puts the bytes of a protobuf message together. */
import { limitExceeded } from '../errors';
import { concat, WireType } from './wire-reader';

/** What readers of protobuf accept in one message. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

/** Collects the chunks of a message by reference. */
export class Writer {
  private readonly chunks: Uint8Array[] = [];
  private pending: number[] = [];
  private length = 0;

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
    if (this.length <= MAX_MESSAGE_BYTES) return this.chunks;
    const megabytes = Math.round(this.length / 1e6);
    throw limitExceeded(
      'onnx.too-large',
      `The model has ${megabytes} MB, more than one ONNX file can hold: write its weights to a side file.`,
    );
  }

  private flush(): void {
    if (this.pending.length === 0) return;
    this.chunks.push(Uint8Array.from(this.pending));
    this.length += this.pending.length;
    this.pending = [];
  }
}
