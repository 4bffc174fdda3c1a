/** @file The runtime: text in, logits out, everything between in WebAssembly. Node and browsers. */
import { words } from './hash';
import { decodeDan } from './format';
import { instantiate } from './kernels';
import type { DanKernels } from './kernels';
import { fill, layoutOf, PAGE } from './layout';
import type { DanOptions, Layout, Scratch } from './layout';
import type { DanModel } from './model';
import type { SharedDan } from './shared';

export interface Prediction {
  readonly label: string;
  /** Softmax of the logits. */
  readonly probability: number;
}

/** A loaded model. Not for concurrent use; each thread makes its own, which may share one table: see `shareDan`. */
export class DanClassifier {
  readonly labels: readonly string[];
  readonly #encoder = new TextEncoder();
  readonly #kernels: DanKernels;
  readonly #memory: WebAssembly.Memory;
  readonly #layout: Layout;
  readonly #scratch: Scratch;
  readonly #text: Uint8Array;

  /** Copies the model into WebAssembly memory. @throws RangeError when it needs more than 4 GiB. */
  constructor(model: DanModel, options?: DanOptions);
  /** Works on a table that threads share. @param thread which of its threads this is, counted from 0 */
  constructor(shared: SharedDan, thread: number);
  constructor(source: DanModel | SharedDan, options: DanOptions | number = {}) {
    const isShared = 'memory' in source;
    const { memory, layout } = isShared ? source : placed(source, options as DanOptions);
    this.labels = source.labels;
    this.#memory = memory;
    this.#layout = layout;
    this.#scratch = layout.threads[typeof options === 'number' ? options : 0];
    this.#kernels = instantiate(memory, isShared ? 'shared' : 'own');
    this.#text = new Uint8Array(memory.buffer, this.#scratch.text, layout.maxTextBytes);
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
    const { rows, weights } = this.#scratch;
    return this.#logits(texts, (slots) => {
      if (slots.byteLength > weights - rows) throw new RangeError(`${slots.length} n-grams: raise maxTextBytes.`);
      new Uint32Array(this.#memory.buffer, rows, slots.length).set(slots);
      return slots.length;
    });
  }

  /** @param find puts the rows of a text in place and says how many there are */
  #logits<T>(texts: readonly T[], find: (text: T) => number): Float32Array {
    const { batch, dimension, hidden, outputs } = this.#layout;
    const { pooled, hiddenLayer, logits: out } = this.#scratch;
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
    const { table, dimension, pooling, int8 } = this.#layout;
    const { rows } = this.#scratch;
    const factor = pooling === 'mean' && found > 0 ? 1 / found : 1;
    if (pooling === 'attentive') this.#attend(found, target);
    else if (pooling === 'max') this.#kernels.maxF32(table, rows, found, dimension, target);
    else if (int8) this.#kernels.gatherI8(table, rows, found, dimension, target, factor);
    else this.#kernels.gatherF32(table, rows, found, dimension, target, factor);
  }

  /** The rows' mean, weighed by the softmax of their products with the query. */
  #attend(found: number, target: number): void {
    const { table, dimension, attention, int8 } = this.#layout;
    const { rows, weights } = this.#scratch;
    this.#kernels[int8 ? 'scoresI8' : 'scoresF32'](table, rows, found, dimension, attention, weights);
    const values = new Float32Array(this.#memory.buffer, weights, found);
    let top = -Infinity;
    for (const score of values) top = Math.max(top, score);
    let sum = 0;
    for (let i = 0; i < found; i++) sum += values[i] = Math.exp(values[i] - top);
    for (let i = 0; i < found; i++) values[i] /= sum;
    this.#kernels[int8 ? 'weighI8' : 'weighF32'](table, rows, found, dimension, weights, target);
  }

  #lookup(text: string): number {
    const { displacements, buckets, fingerprints, slots, minOrder, maxOrder } = this.#layout;
    const { hashes, rows, text: at } = this.#scratch;
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

/** The model in a memory of its own. */
function placed(model: DanModel, options: DanOptions): { memory: WebAssembly.Memory; layout: Layout } {
  const layout = layoutOf(model, options, 1);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(layout.end / PAGE) });
  fill(memory.buffer, layout, model);
  return { memory, layout };
}
