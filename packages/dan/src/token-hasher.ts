/** @file Texts to token hashes in WebAssembly, for those who make a vocabulary or training rows. */
import { words } from './hash';
import { instantiate } from './kernels';
import type { DanKernels } from './kernels';

const PAGE = 65_536;
/** AssemblyScript's own statics come first. */
const TEXT = 1024;

/** Hashes the words of texts, one text at a time. The same tokens as `words`, the same hashes as `wordHash`. */
export class TokenHasher {
  readonly #memory = new WebAssembly.Memory({ initial: 16 });
  readonly #kernels: DanKernels = instantiate(this.#memory);
  readonly #encoder = new TextEncoder();

  /** Pairs a, b of every word's hash, in order. A view that is valid until the next call. */
  hashes(text: string): Uint32Array {
    const room = this.#reserve(text);
    const { written } = this.#encoder.encodeInto(text, new Uint8Array(this.#memory.buffer, TEXT, room));
    // Anything beyond ASCII is split and folded in JavaScript, where Unicode is known.
    return written === text.length ? this.#tokenize(written, room) : this.#hashWords(words(text).join(' '));
  }

  #hashWords(prepared: string): Uint32Array {
    const room = this.#reserve(prepared);
    const { written } = this.#encoder.encodeInto(prepared, new Uint8Array(this.#memory.buffer, TEXT, room));
    return this.#tokenize(written, room);
  }

  #tokenize(length: number, room: number): Uint32Array {
    const count = this.#kernels.tokenize(TEXT, length, TEXT + room);
    return new Uint32Array(this.#memory.buffer, TEXT + room, 2 * count);
  }

  /**
   * Makes place for a text and its hashes.
   * @returns bytes reserved for the text: a UTF-16 unit takes three at most, a token of 8 bytes at least two and a gap
   */
  #reserve({ length }: string): number {
    const room = Math.ceil((3 * length + 16) / 64) * 64;
    const missing = TEXT + room + 8 * (Math.ceil(room / 3) + 1) - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE));
    return room;
  }
}
