/** @file The embedding table of a DAN in training: weights and moments, in as many WebAssembly memories as it takes. */
import type { Pooling } from '@modelpress/dan';
import type { AdamwScalars } from '../train/kernels/kernels';
import { danKernels } from './kernels';
import type { DanTrainingKernels } from './kernels';

/** The n-grams of some texts: text t has ids[offsets[t]] .. ids[offsets[t + 1] - 1]. */
export interface NgramBatch {
  readonly texts: number;
  readonly offsets: Int32Array;
  readonly ids: Uint32Array;
}

const PAGE = 65_536;
/** Weights and moments of one memory; the rest of its 4 GiB is for batches. */
const SHARD_BYTES = 3.5 * 2 ** 30;
const STATICS = 1024;

/** A table of `rows` x `width` (a multiple of 8) float32 cells. */
export class DanTable {
  private readonly shards: readonly Shard[];
  private readonly rowsPerShard: number;

  /** @param shardBytes only tests need less than the default */
  constructor(
    readonly rows: number,
    readonly width: number,
    shardBytes = SHARD_BYTES,
  ) {
    this.rowsPerShard = Math.max(1, Math.min(rows, Math.floor(shardBytes / (12 * width))));
    const count = Math.ceil(rows / this.rowsPerShard);
    this.shards = Array.from(
      { length: count },
      (_, i) => new Shard(Math.min(this.rowsPerShard, rows - i * this.rowsPerShard), width),
    );
  }

  /** The weights, in runs of whole rows. Views: valid until the next `pool` or `update`. */
  get weights(): Float32Array[] {
    return this.shards.map((shard) => shard.weights);
  }

  /** The weights of one row. A view: valid until the next `pool` or `update`. */
  row(row: number): Float32Array {
    const shard = this.shards[Math.floor(row / this.rowsPerShard)];
    const start = (row % this.rowsPerShard) * this.width;
    return shard.weights.subarray(start, start + this.width);
  }

  /** Weights, then moments of each shard, for saving. */
  get state(): Float32Array[] {
    return this.shards.flatMap((shard) => shard.state);
  }

  /** Sum or maximum of each text's rows into `out` [texts, width]; 0 for a text without any. */
  pool(batch: NgramBatch, pooling: Pooling, out: Float32Array): void {
    const isMax = pooling === 'max';
    this.eachShard(batch, (shard, part, first) => {
      const pooled = shard.pool(part, isMax);
      if (first) out.set(pooled);
      else if (isMax) for (let i = 0; i < pooled.length; i++) out[i] = Math.max(out[i], pooled[i]);
      else for (let i = 0; i < pooled.length; i++) out[i] += pooled[i];
    });
    if (!isMax) return;
    for (let i = 0; i < batch.texts * this.width; i++) if (out[i] === -Infinity) out[i] = 0;
  }

  /**
   * AdamW of the batch's rows only; others neither decay nor move by momentum.
   * @param gradients of the pooled vectors, [texts, width]
   * @param pooled the maxima, for maximum pooling
   */
  update(batch: NgramBatch, gradients: Float32Array, pooled: Float32Array | undefined, scalars: AdamwScalars): void {
    this.eachShard(batch, (shard, part) => shard.update(part, gradients, pooled, scalars));
  }

  private eachShard(batch: NgramBatch, visit: (shard: Shard, part: NgramBatch, first: boolean) => void): void {
    this.shards.forEach((shard, i) => {
      const part = this.shards.length === 1 ? batch : partOf(batch, i * this.rowsPerShard, shard.rows);
      visit(shard, part, i === 0);
    });
  }
}

/** The ids from `first` on, `count` of them, counted from there. */
function partOf({ texts, offsets, ids }: NgramBatch, first: number, count: number): NgramBatch {
  const kept = new Uint32Array(ids.length);
  const starts = new Int32Array(texts + 1);
  let used = 0;
  for (let text = 0; text < texts; text++) {
    for (let i = offsets[text]; i < offsets[text + 1]; i++) {
      const local = ids[i] - first;
      if (local >= 0 && local < count) kept[used++] = local;
    }
    starts[text + 1] = used;
  }
  return { texts, offsets: starts, ids: kept.subarray(0, used) };
}

/** Rows in one memory. */
class Shard {
  private readonly memory: WebAssembly.Memory;
  private readonly kernels: DanTrainingKernels;
  private readonly at: readonly [weight: number, firstMoment: number, secondMoment: number, batch: number];
  /** Position of a row among those that the present batch touches, plus 1. */
  private readonly place: Int32Array;

  constructor(
    readonly rows: number,
    private readonly width: number,
  ) {
    const bytes = rows * width * 4;
    this.at = [STATICS, STATICS + bytes, STATICS + 2 * bytes, STATICS + 3 * bytes];
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(this.at[3] / PAGE) });
    this.kernels = danKernels(this.memory);
    this.place = new Int32Array(rows);
  }

  get weights(): Float32Array {
    return this.floats(this.at[0], this.rows * this.width);
  }

  get state(): Float32Array[] {
    return [0, 1, 2].map((i) => this.floats(this.at[i], this.rows * this.width));
  }

  pool({ texts, offsets, ids }: NgramBatch, isMax: boolean): Float32Array {
    const [idsAt, offsetsAt, outAt] = this.reserve([ids.length, texts + 1, texts * this.width]);
    new Uint32Array(this.memory.buffer, idsAt, ids.length).set(ids);
    new Int32Array(this.memory.buffer, offsetsAt, texts + 1).set(offsets.subarray(0, texts + 1));
    this.kernels[isMax ? 'poolMax' : 'poolSum'](this.at[0], idsAt, offsetsAt, texts, this.width, outAt);
    return this.floats(outAt, texts * this.width);
  }

  update(batch: NgramBatch, gradients: Float32Array, pooled: Float32Array | undefined, scalars: AdamwScalars): void {
    const { rows, starts, texts } = this.byRow(batch);
    const cells = batch.texts * this.width;
    const sizes = [rows.length, starts.length, texts.length, cells, pooled ? cells : 0];
    const [rowsAt, startsAt, textsAt, gradientsAt, pooledAt] = this.reserve(sizes);
    const { buffer } = this.memory;
    new Uint32Array(buffer, rowsAt, rows.length).set(rows);
    new Int32Array(buffer, startsAt, starts.length).set(starts);
    new Uint32Array(buffer, textsAt, texts.length).set(texts);
    this.floats(gradientsAt, cells).set(gradients.subarray(0, cells));
    if (pooled) this.floats(pooledAt, cells).set(pooled.subarray(0, cells));
    const [weight, firstMoment, secondMoment] = this.at;
    const update = { weight, firstMoment, secondMoment, rows: rowsAt, starts: startsAt, texts: textsAt };
    const rest = { count: rows.length, gradients: gradientsAt, pooled: pooled ? pooledAt : 0 };
    this.kernels.updateRows({ ...update, ...rest }, this.width, scalars);
  }

  /** The batch turned around: which texts have each row, rows in order of first occurrence. */
  private byRow({ texts, offsets, ids }: NgramBatch): { rows: Uint32Array; starts: Int32Array; texts: Uint32Array } {
    const { place } = this;
    const rows = new Uint32Array(ids.length);
    const starts = new Int32Array(ids.length + 2);
    let count = 0;
    for (const id of ids) {
      if (place[id] === 0) {
        rows[count++] = id;
        place[id] = count;
      }
      starts[place[id] + 1]++;
    }
    for (let i = 2; i <= count + 1; i++) starts[i] += starts[i - 1];
    // starts[p] is now where row p - 1 begins and moves on while its texts are put there.
    const textOf = new Uint32Array(ids.length);
    for (let text = 0; text < texts; text++) {
      for (let i = offsets[text]; i < offsets[text + 1]; i++) textOf[starts[place[ids[i]]]++] = text;
    }
    for (let i = 0; i < count; i++) place[rows[i]] = 0;
    return { rows: rows.subarray(0, count), starts: starts.subarray(0, count + 1), texts: textOf };
  }

  /** Addresses of arrays of 4-byte elements behind the table; the memory grows as needed. */
  private reserve(counts: readonly number[]): number[] {
    let end = this.at[3];
    const addresses = counts.map((count) => {
      const start = Math.ceil(end / 16) * 16;
      end = start + 4 * count;
      return start;
    });
    const missing = end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    return addresses;
  }

  private floats(address: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, count);
  }
}
