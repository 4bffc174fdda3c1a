/** @file The embedding table of a DAN in training: weights and moments, in as many WebAssembly memories as it takes. */
import type { AdamwScalars } from '../train/kernels/kernels';
import { danKernels } from './kernels';
import type { DanTrainingKernels } from './kernels';

/** The n-grams of some texts: text t has ids[offsets[t]] .. ids[offsets[t + 1] - 1]. */
export interface NgramBatch {
  readonly texts: number;
  readonly offsets: Int32Array;
  readonly ids: Uint32Array;
}

/** What attentive pooling adds to a row's gradient: alpha * (gradient of the text) + beta * query, by n-gram of the batch. */
export interface AttentionGradients {
  readonly query: Float32Array;
  readonly alphas: Float32Array;
  readonly betas: Float32Array;
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
  pool(batch: NgramBatch, pooling: 'mean' | 'sum' | 'max', out: Float32Array): void {
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

  /** The product of each n-gram's row with the vector of its text. @param vectors [texts, width], or [width] for all */
  dots(batch: NgramBatch, vectors: Float32Array): Float32Array {
    const out = new Float32Array(batch.ids.length);
    this.eachShard(batch, (shard, part) => {
      const dots = shard.dots(part, vectors);
      dots.forEach((dot, i) => (out[part.from ? part.from[i] : i] = dot));
    });
    return out;
  }

  /** Each text's sum of rows times their weights, [texts, width]. @param weights by n-gram of the batch */
  weigh(batch: NgramBatch, weights: Float32Array): Float32Array {
    const out = new Float32Array(batch.texts * this.width);
    this.eachShard(batch, (shard, part) => {
      const sums = shard.weigh(part, picked(weights, part.from));
      for (let i = 0; i < out.length; i++) out[i] += sums[i];
    });
    return out;
  }

  /**
   * AdamW of the batch's rows only; others neither decay nor move by momentum.
   * @param gradients of the pooled vectors, [texts, width]
   * @param pooling what maximum pooling needs, the maxima, or attentive pooling
   */
  update(batch: NgramBatch, gradients: Float32Array, pooling: PoolingGradients, scalars: AdamwScalars): void {
    this.eachShard(batch, (shard, part) => {
      const { attention } = pooling;
      const own = attention && {
        query: attention.query,
        alphas: picked(attention.alphas, part.from),
        betas: picked(attention.betas, part.from),
      };
      shard.update(part, gradients, { ...pooling, ...(own && { attention: own }) }, scalars);
    });
  }

  private eachShard(batch: NgramBatch, visit: (shard: Shard, part: Part, first: boolean) => void): void {
    this.shards.forEach((shard, i) => {
      const part: Part = this.shards.length === 1 ? batch : partOf(batch, i * this.rowsPerShard, shard.rows);
      visit(shard, part, i === 0);
    });
  }
}

export interface PoolingGradients {
  readonly maxima?: Float32Array;
  readonly attention?: AttentionGradients;
}

/** The n-grams of one shard, and where they stand in the batch; absent where these are all. */
type Part = NgramBatch & { readonly from?: Uint32Array };

const picked = (values: Float32Array, from: Uint32Array | undefined): Float32Array =>
  from ? Float32Array.from(from, (i) => values[i]) : values;

/** The ids from `first` on, `count` of them, counted from there. */
function partOf({ texts, offsets, ids }: NgramBatch, first: number, count: number): Part {
  const kept = new Uint32Array(ids.length);
  const from = new Uint32Array(ids.length);
  const starts = new Int32Array(texts + 1);
  let used = 0;
  for (let text = 0; text < texts; text++) {
    for (let i = offsets[text]; i < offsets[text + 1]; i++) {
      const local = ids[i] - first;
      if (local < 0 || local >= count) continue;
      from[used] = i;
      kept[used++] = local;
    }
    starts[text + 1] = used;
  }
  return { texts, offsets: starts, ids: kept.subarray(0, used), from: from.subarray(0, used) };
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

  pool(batch: NgramBatch, isMax: boolean): Float32Array {
    const { texts } = batch;
    const [idsAt, offsetsAt, outAt] = this.placeBatch(batch, [texts * this.width]);
    this.kernels[isMax ? 'poolMax' : 'poolSum'](this.at[0], idsAt, offsetsAt, texts, this.width, outAt);
    return this.floats(outAt, texts * this.width);
  }

  dots(batch: NgramBatch, vectors: Float32Array): Float32Array {
    const [idsAt, offsetsAt, vectorsAt, outAt] = this.placeBatch(batch, [vectors.length, batch.ids.length]);
    this.floats(vectorsAt, vectors.length).set(vectors);
    const stride = vectors.length === this.width ? 0 : 4 * this.width;
    this.kernels.rowDots(this.at[0], idsAt, offsetsAt, batch.texts, this.width, vectorsAt, stride, outAt);
    return this.floats(outAt, batch.ids.length);
  }

  weigh(batch: NgramBatch, weights: Float32Array): Float32Array {
    const cells = batch.texts * this.width;
    const [idsAt, offsetsAt, weightsAt, outAt] = this.placeBatch(batch, [weights.length, cells]);
    this.floats(weightsAt, weights.length).set(weights);
    this.kernels.poolWeighted(this.at[0], idsAt, offsetsAt, batch.texts, this.width, weightsAt, outAt);
    return this.floats(outAt, cells);
  }

  /** Puts a batch behind the table. @returns addresses of ids and offsets, then of arrays of the given sizes */
  private placeBatch({ texts, offsets, ids }: NgramBatch, sizes: readonly number[]): number[] {
    const addresses = this.reserve([ids.length, texts + 1, ...sizes]);
    new Uint32Array(this.memory.buffer, addresses[0], ids.length).set(ids);
    new Int32Array(this.memory.buffer, addresses[1], texts + 1).set(offsets.subarray(0, texts + 1));
    return addresses;
  }

  update(
    batch: NgramBatch,
    gradients: Float32Array,
    { maxima, attention }: PoolingGradients,
    scalars: AdamwScalars,
  ): void {
    const { rows, starts, texts, from } = this.byRow(batch);
    const cells = batch.texts * this.width;
    const [queried, weighed] = attention ? [this.width, from.length] : [0, 0];
    const sizes = [rows.length, starts.length, texts.length, cells, maxima ? cells : 0, queried, weighed, weighed];
    const [rowsAt, startsAt, textsAt, gradientsAt, pooledAt, queryAt, alphasAt, betasAt] = this.reserve(sizes);
    const { buffer } = this.memory;
    new Uint32Array(buffer, rowsAt, rows.length).set(rows);
    new Int32Array(buffer, startsAt, starts.length).set(starts);
    new Uint32Array(buffer, textsAt, texts.length).set(texts);
    this.floats(gradientsAt, cells).set(gradients.subarray(0, cells));
    if (maxima) this.floats(pooledAt, cells).set(maxima.subarray(0, cells));
    if (attention) {
      this.floats(queryAt, this.width).set(attention.query);
      this.floats(alphasAt, from.length).set(picked(attention.alphas, from));
      this.floats(betasAt, from.length).set(picked(attention.betas, from));
    }
    const [weight, firstMoment, secondMoment] = this.at;
    const update = { weight, firstMoment, secondMoment, rows: rowsAt, starts: startsAt, texts: textsAt };
    const rest = { count: rows.length, gradients: gradientsAt, pooled: maxima ? pooledAt : 0 };
    const attended = { query: attention ? queryAt : 0, alphas: alphasAt, betas: betasAt };
    this.kernels.updateRows({ ...update, ...rest, ...attended }, this.width, scalars);
  }

  /** The batch turned around: which texts have each row, and as which n-gram, rows in order of first occurrence. */
  private byRow({ texts, offsets, ids }: NgramBatch): {
    rows: Uint32Array;
    starts: Int32Array;
    texts: Uint32Array;
    from: Uint32Array;
  } {
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
    const from = new Uint32Array(ids.length);
    for (let text = 0; text < texts; text++) {
      for (let i = offsets[text]; i < offsets[text + 1]; i++) {
        const at = starts[place[ids[i]]]++;
        textOf[at] = text;
        from[at] = i;
      }
    }
    for (let i = 0; i < count; i++) place[rows[i]] = 0;
    return { rows: rows.subarray(0, count), starts: starts.subarray(0, count + 1), texts: textOf, from };
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
