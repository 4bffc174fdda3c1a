/** @file Token ids of a split, row by row: written once to files, then read from memory or, when large, from disk. */
import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ModelpressError } from '../errors';

/** Files of a token folder. Little-endian arrays without header. */
const FILES = {
  /** int32: all ids, row after row. */
  tokens: 'tokens.i32',
  /** uint32 per row. */
  lengths: 'lengths.u32',
  /** uint32 per row: leading tokens of type 0. */
  firstLengths: 'first-lengths.u32',
  /** float32 per row: class index or regression value; NaN without a label. */
  labels: 'labels.f32',
} as const;

/** Ids up to this many bytes are kept in memory; above, rows are read from disk as they are needed. */
const DEFAULT_MEMORY_BYTES = 2 ** 28;

/** Appends numbers to a file through a small buffer. */
class ColumnWriter<A extends Int32Array | Uint32Array | Float32Array> {
  readonly #file: number;
  #used = 0;

  constructor(
    path: string,
    private readonly buffer: A,
  ) {
    this.#file = openSync(path, 'w');
  }

  push(value: number): void {
    if (this.#used === this.buffer.length) this.#flush();
    this.buffer[this.#used++] = value;
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    const bytes = new Uint8Array(this.buffer.buffer, this.buffer.byteOffset, this.#used * 4);
    for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
    this.#used = 0;
  }
}

const BUFFERED = 2 ** 14;

/** Writes token rows to an existing, empty folder. */
export class TokenRowsWriter {
  readonly #tokens: ColumnWriter<Int32Array>;
  readonly #lengths: ColumnWriter<Uint32Array>;
  readonly #firstLengths: ColumnWriter<Uint32Array>;
  readonly #labels: ColumnWriter<Float32Array>;

  constructor(folder: string) {
    this.#tokens = new ColumnWriter(join(folder, FILES.tokens), new Int32Array(BUFFERED * 4));
    this.#lengths = new ColumnWriter(join(folder, FILES.lengths), new Uint32Array(BUFFERED));
    this.#firstLengths = new ColumnWriter(join(folder, FILES.firstLengths), new Uint32Array(BUFFERED));
    this.#labels = new ColumnWriter(join(folder, FILES.labels), new Float32Array(BUFFERED));
  }

  /** @param label Class index, regression value, or NaN. */
  push(ids: readonly number[], firstLength: number, label: number): void {
    for (const id of ids) this.#tokens.push(id);
    this.#lengths.push(ids.length);
    this.#firstLengths.push(firstLength);
    this.#labels.push(label);
  }

  close(): void {
    this.#tokens.close();
    this.#lengths.close();
    this.#firstLengths.close();
    this.#labels.close();
  }
}

/** Read access to token rows. Needs 20 bytes of memory per row, plus the ids where they fit the given bound. */
export class TokenRows {
  readonly rows: number;
  /** Tokens of the longest row. */
  readonly longest: number;
  readonly totalTokens: number;
  readonly lengths: Uint32Array;
  readonly firstLengths: Uint32Array;
  /** Class index, regression value, or NaN; per row. */
  readonly labels: Float32Array;
  readonly #offsets: Float64Array;
  readonly #memory: Int32Array | undefined;
  readonly #file: number | undefined;

  /** Opens a folder that a `TokenRowsWriter` filled. */
  constructor(folder: string, memoryBytes = DEFAULT_MEMORY_BYTES) {
    const column = (name: string): ArrayBuffer => bufferOf(readFileSync(join(folder, name)));
    this.lengths = new Uint32Array(column(FILES.lengths));
    this.firstLengths = new Uint32Array(column(FILES.firstLengths));
    this.labels = new Float32Array(column(FILES.labels));
    this.rows = this.lengths.length;
    this.#offsets = new Float64Array(this.rows);
    let total = 0;
    let longest = 0;
    for (let row = 0; row < this.rows; row++) {
      this.#offsets[row] = total;
      total += this.lengths[row];
      if (this.lengths[row] > longest) longest = this.lengths[row];
    }
    this.totalTokens = total;
    this.longest = longest;
    const path = join(folder, FILES.tokens);
    if (statSync(path).size !== total * 4 || this.labels.length !== this.rows) {
      throw new ModelpressError('internal', 'tokens.corrupt', 'The token files of a split do not fit together.');
    }
    if (total * 4 <= memoryBytes) this.#memory = new Int32Array(column(FILES.tokens));
    else this.#file = openSync(path, 'r');
  }

  /** The ids of a row. A view where the ids are in memory: do not write to it. */
  ids(row: number): Int32Array {
    const start = this.#offsets[row];
    const length = this.lengths[row];
    if (this.#memory !== undefined) return this.#memory.subarray(start, start + length);
    const ids = new Int32Array(length);
    if (this.#file === undefined) return ids;
    readSync(this.#file, ids, 0, length * 4, start * 4);
    return ids;
  }

  /** Closes the file behind rows that are not in memory. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }
}

/** The bytes of a file as a buffer of their own: small files come as views of a shared pool at any offset. */
const bufferOf = (bytes: Buffer): ArrayBuffer =>
  bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? bytes.buffer
    : Uint8Array.from(bytes).buffer;
