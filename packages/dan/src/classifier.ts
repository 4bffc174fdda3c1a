/** @file The runtime: text in, logits out, everything between in WebAssembly. Node and browsers. */
import { words } from './hash';
import { decodeDan } from './format';
import { instantiate } from './kernels';
import type { DanKernels } from './kernels';
import type { DanModel } from './model';

export interface DanOptions {
  /** Longest text in UTF-8 bytes; scratch memory is a few times this. Default 256 KiB. */
  readonly maxTextBytes?: number;
  /** Texts that share one pass over the dense layers' weights. Default 32. */
  readonly batch?: number;
}

export interface Prediction {
  readonly label: string;
  /** Softmax of the logits. */
  readonly probability: number;
}

const LANES = 16;
const pad = (n: number): number => Math.ceil(n / LANES) * LANES;

/** A loaded model. Not for concurrent use; each worker makes its own. */
export class DanClassifier {
  readonly labels: readonly string[];
  readonly #encoder = new TextEncoder();
  readonly #kernels: DanKernels;
  readonly #memory: WebAssembly.Memory;
  readonly #layout: Layout;
  readonly #model: Pick<DanModel, 'minOrder' | 'maxOrder' | 'pooling'> & { readonly int8: boolean };
  readonly #text: Uint8Array;

  /** Copies the model into WebAssembly memory. @throws RangeError when it needs more than 4 GiB. */
  constructor(model: DanModel, { maxTextBytes = 256 * 1024, batch = 32 }: DanOptions = {}) {
    this.labels = model.labels;
    this.#model = { ...model, int8: model.table.type === 'int8' };
    this.#layout = layoutOf(model, maxTextBytes, batch);
    const pages = Math.ceil(this.#layout.end / 65_536);
    if (pages > 65_536) {
      const needed = (this.#layout.end / 2 ** 30).toFixed(1);
      throw new RangeError(
        `The model needs ${needed} GiB, WebAssembly memory ends at 4: quantize the table or use fewer dimensions.`,
      );
    }
    this.#memory = new WebAssembly.Memory({ initial: pages });
    this.#kernels = instantiate(this.#memory);
    fill(this.#memory.buffer, this.#layout, model);
    this.#text = new Uint8Array(this.#memory.buffer, this.#layout.text, maxTextBytes);
  }

  /** Reads a model file's bytes. */
  static from(bytes: Uint8Array, options?: DanOptions): DanClassifier {
    return new DanClassifier(decodeDan(bytes), options);
  }

  /** The most probable label of one text. */
  classify(text: string): Prediction {
    const logits = this.logits([text]);
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
    let sum = 0;
    for (const logit of logits) sum += Math.exp(logit - logits[best]);
    return { label: this.labels[best], probability: 1 / sum };
  }

  /** Logits of any number of texts, [texts, labels] row-major. A text without a known n-gram gets those of a zero vector. */
  logits(texts: readonly string[]): Float32Array {
    return this.#logits(texts, (text) => this.#lookup(text));
  }

  /** Logits of texts whose n-grams were looked up before. @throws RangeError for a row with too many */
  logitsOfSlots(texts: readonly Uint32Array[]): Float32Array {
    const { rows, pooled } = this.#layout;
    return this.#logits(texts, (slots) => {
      if (slots.byteLength > pooled - rows) throw new RangeError(`${slots.length} n-grams: raise maxTextBytes.`);
      new Uint32Array(this.#memory.buffer, rows, slots.length).set(slots);
      return slots.length;
    });
  }

  /** @param find puts the rows of a text in place and says how many there are */
  #logits<T>(texts: readonly T[], find: (text: T) => number): Float32Array {
    const { batch, pooled, hiddenLayer, logits: out, dimension, hidden, outputs } = this.#layout;
    const count = this.labels.length;
    const result = new Float32Array(texts.length * count);
    for (let first = 0; first < texts.length; first += batch) {
      const rows = Math.min(batch, texts.length - first);
      for (let i = 0; i < rows; i++) this.#pool(find(texts[first + i]), pooled + i * dimension * 4);
      this.#kernels.dense(pooled, this.#layout.w1, this.#layout.b1, dimension, hidden, hiddenLayer, rows);
      this.#kernels.relu(hiddenLayer, rows * hidden);
      this.#kernels.dense(hiddenLayer, this.#layout.w2, this.#layout.b2, hidden, outputs, out, rows);
      const values = new Float32Array(this.#memory.buffer, out, rows * outputs);
      for (let i = 0; i < rows; i++) result.set(values.subarray(i * outputs, i * outputs + count), (first + i) * count);
    }
    return result;
  }

  /** How many n-grams of a text the model knows. */
  knownNgrams(text: string): number {
    return this.#lookup(text);
  }

  /** Puts the pooled vector of the `found` rows to `target`. */
  #pool(found: number, target: number): void {
    const { table, rows, dimension } = this.#layout;
    const { pooling, int8 } = this.#model;
    const factor = pooling === 'mean' && found > 0 ? 1 / found : 1;
    if (pooling === 'max') this.#kernels.maxF32(table, rows, found, dimension, target);
    else if (int8) this.#kernels.gatherI8(table, rows, found, dimension, target, factor);
    else this.#kernels.gatherF32(table, rows, found, dimension, target, factor);
  }

  #lookup(text: string): number {
    const { hashes, displacements, buckets, fingerprints, slots, rows, text: at } = this.#layout;
    const { minOrder, maxOrder } = this.#model;
    const tokens = this.#kernels.tokenize(at, this.#encode(text), hashes);
    return this.#kernels.lookup(hashes, tokens, minOrder, maxOrder, displacements, buckets, fingerprints, slots, rows);
  }

  /** Puts a text into memory: ASCII as it is (the kernel splits and folds it), anything else as its words. */
  #encode(text: string): number {
    const direct = this.#encoder.encodeInto(text, this.#text);
    if (direct.read === text.length && direct.written === text.length) return direct.written;
    const prepared = words(text).join(' ');
    const { read, written } = this.#encoder.encodeInto(prepared, this.#text);
    if (read < prepared.length) {
      throw new RangeError(`The text is longer than ${this.#text.length} bytes: raise maxTextBytes.`);
    }
    return written;
  }
}

/** Byte addresses of everything in memory, and padded sizes. */
interface Layout {
  readonly displacements: number;
  readonly buckets: number;
  readonly fingerprints: number;
  readonly slots: number;
  readonly table: number;
  readonly w1: number;
  readonly b1: number;
  readonly w2: number;
  readonly b2: number;
  readonly text: number;
  readonly hashes: number;
  readonly rows: number;
  readonly pooled: number;
  readonly hiddenLayer: number;
  readonly logits: number;
  readonly end: number;
  readonly batch: number;
  readonly dimension: number;
  readonly hidden: number;
  readonly outputs: number;
}

function layoutOf(model: DanModel, maxTextBytes: number, batch: number): Layout {
  const { hash, table, maxOrder } = model;
  const [dimension, hidden, outputs] = [pad(model.dimension), pad(model.hidden), pad(model.labels.length)];
  const slots = hash.fingerprints.length;
  const maxTokens = Math.ceil(maxTextBytes / 3) + 1; // two characters and what separates them
  let end = 1024; // AssemblyScript's own statics come first
  const take = (bytes: number): number => {
    const start = Math.ceil(end / 64) * 64;
    end = start + bytes;
    return start;
  };
  return {
    displacements: take(hash.displacements.byteLength),
    buckets: hash.displacements.length,
    fingerprints: take(hash.fingerprints.byteLength),
    slots,
    table: take(slots * dimension * (table.type === 'int8' ? 1 : 4)),
    w1: take(dimension * hidden * 4),
    b1: take(hidden * 4),
    w2: take(hidden * outputs * 4),
    b2: take(outputs * 4),
    text: take(maxTextBytes),
    hashes: take(maxTokens * 8),
    rows: take(maxTokens * maxOrder * 4),
    pooled: take(batch * dimension * 4),
    hiddenLayer: take(batch * hidden * 4),
    logits: take(batch * outputs * 4),
    end,
    batch,
    dimension,
    hidden,
    outputs,
  };
}

/** Copies the model into place; rows and columns beyond the real sizes stay zero. */
function fill(buffer: ArrayBuffer, layout: Layout, model: DanModel): void {
  const { hash, table, dimension, hidden } = model;
  const floats = (at: number, length: number): Float32Array => new Float32Array(buffer, at, length);
  new Uint16Array(buffer, layout.displacements, layout.buckets).set(hash.displacements);
  new Uint32Array(buffer, layout.fingerprints, layout.slots).set(hash.fingerprints);
  const rows =
    table.type === 'int8'
      ? new Int8Array(buffer, layout.table, layout.slots * layout.dimension)
      : floats(layout.table, layout.slots * layout.dimension);
  copyRows(table.rows, rows, layout.slots, dimension, layout.dimension);

  // int8 rows leave their column scale to the first layer: scale_d * W1[d].
  const w1 = table.type === 'int8' ? model.w1.map((w, i) => w * table.scales[Math.floor(i / hidden)]) : model.w1;
  copyRows(w1, floats(layout.w1, layout.dimension * layout.hidden), dimension, hidden, layout.hidden);
  copyRows(model.w2, floats(layout.w2, layout.hidden * layout.outputs), hidden, model.labels.length, layout.outputs);
  floats(layout.b1, layout.hidden).set(model.b1);
  floats(layout.b2, layout.outputs).set(model.b2);
}

function copyRows<T extends Float32Array | Int8Array>(
  from: T,
  to: T,
  rows: number,
  width: number,
  stride: number,
): void {
  for (let row = 0; row < rows; row++) to.set(from.subarray(row * width, (row + 1) * width), row * stride);
}
