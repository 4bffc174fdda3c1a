/** @file Where a model lies in WebAssembly memory: its weights once, and room for each thread's work behind them. */
import type { DanModel, Pooling } from './model';

export interface DanOptions {
  /** Longest text in UTF-8 bytes; scratch memory is a few times this. Default 256 KiB. */
  readonly maxTextBytes?: number;
  /** Texts that share one pass over the dense layers' weights. Default 32. */
  readonly batch?: number;
}

/** Byte addresses of the weights, and padded sizes. Plain data: it can be sent to another thread. */
export interface Layout {
  readonly displacements: number;
  readonly buckets: number;
  readonly fingerprints: number;
  readonly slots: number;
  readonly table: number;
  readonly int8: boolean;
  readonly w1: number;
  readonly b1: number;
  readonly w2: number;
  readonly b2: number;
  readonly attention: number;
  readonly dimension: number;
  readonly hidden: number;
  readonly outputs: number;
  readonly minOrder: number;
  readonly maxOrder: number;
  readonly pooling: Pooling;
  readonly batch: number;
  readonly maxTextBytes: number;
  /** Each thread's work. */
  readonly threads: readonly Scratch[];
  readonly end: number;
}

/** Byte addresses of one thread's work. */
export interface Scratch {
  readonly text: number;
  readonly hashes: number;
  readonly rows: number;
  /** Of attentive pooling. */
  readonly weights: number;
  readonly pooled: number;
  readonly hiddenLayer: number;
  readonly logits: number;
}

export const PAGE = 65_536;
export const MOST_PAGES = 65_536;
/** AssemblyScript's own statics come first. */
const STATICS = 1024;
const LANES = 16;
const pad = (n: number): number => Math.ceil(n / LANES) * LANES;

/** @throws RangeError when the model and its threads need more than the 4 GiB of a WebAssembly memory */
export function layoutOf(
  model: DanModel,
  { maxTextBytes = 256 * 1024, batch = 32 }: DanOptions,
  threads: number,
): Layout {
  const { hash, table, minOrder, maxOrder, pooling } = model;
  const [dimension, hidden, outputs] = [pad(model.dimension), pad(model.hidden), pad(model.labels.length)];
  const slots = hash.fingerprints.length;
  const int8 = table.type === 'int8';
  const maxTokens = Math.ceil(maxTextBytes / 3) + 1; // two characters and what separates them
  let end = STATICS;
  const take = (bytes: number): number => {
    const start = Math.ceil(end / 64) * 64;
    end = start + bytes;
    return start;
  };
  const weights = {
    displacements: take(hash.displacements.byteLength),
    fingerprints: take(hash.fingerprints.byteLength),
    table: take(slots * dimension * (int8 ? 1 : 4)),
    w1: take(dimension * hidden * 4),
    b1: take(hidden * 4),
    w2: take(hidden * outputs * 4),
    b2: take(outputs * 4),
    attention: take(dimension * 4),
  };
  const scratches = Array.from({ length: threads }, () => ({
    text: take(maxTextBytes),
    hashes: take(maxTokens * 8),
    rows: take(maxTokens * maxOrder * 4),
    weights: take(pooling === 'attentive' ? maxTokens * maxOrder * 4 : 0),
    pooled: take(batch * dimension * 4),
    hiddenLayer: take(batch * hidden * 4),
    logits: take(batch * outputs * 4),
  }));
  if (end > MOST_PAGES * PAGE) throw tooLarge(model, end);
  const sizes = { buckets: hash.displacements.length, slots, int8, dimension, hidden, outputs };
  return { ...weights, ...sizes, minOrder, maxOrder, pooling, batch, maxTextBytes, threads: scratches, end };
}

/** Says what would fit. */
function tooLarge({ hash, table, dimension }: DanModel, bytes: number): RangeError {
  const perColumn = hash.fingerprints.length * (table.type === 'int8' ? 1 : 4);
  const columns = dimension - Math.ceil((bytes - MOST_PAGES * PAGE) / perColumn);
  const fits = Math.floor(columns / LANES) * LANES;
  const advice = fits > 0 ? `a dimension of ${fits} fits` : 'no dimension fits, use fewer n-grams';
  const quantize = table.type === 'int8' ? '' : ' An int8 table takes a quarter.';
  return new RangeError(
    `The model needs ${(bytes / 2 ** 30).toFixed(1)} GiB, WebAssembly memory ends at 4: ${advice}.${quantize}`,
  );
}

/** Copies the model into place; rows and columns beyond the real sizes stay zero. */
export function fill(buffer: ArrayBufferLike, layout: Layout, model: DanModel): void {
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
  const { attention } = model;
  // The query meets int8 rows without the scales of their columns.
  if (attention) {
    const query = table.type === 'int8' ? attention.map((q, d) => q * table.scales[d]) : attention;
    floats(layout.attention, layout.dimension).set(query);
  }
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
