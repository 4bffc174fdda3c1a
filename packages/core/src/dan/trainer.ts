/** @file One training step of a DAN: pool, two dense layers, loss, and AdamW of the touched rows only. */
import type { Pooling } from '@modelpress/dan';
import { invalid, ModelpressError } from '../errors';
import { adamwScalars } from '../train/optimizer';
import type { OptimizerConfig } from '../train/optimizer';
import { Random } from '../train/random';
import { Attention } from './attention';
import { CHUNK, DenseLayers, maskKey } from './dense';
import { danLoss } from './loss';
import type { DanLossOptions, DanTargets } from './loss';
import { DanTable } from './table';
import type { NgramBatch } from './table';

export interface DanTrainerOptions {
  /** Rows of the table. */
  readonly rows: number;
  readonly dimension: number;
  readonly hidden: number;
  readonly classes: number;
  readonly pooling: Pooling;
  readonly optimizer: OptimizerConfig;
  /** Dropout of the hidden layer. */
  readonly dropout: number;
  readonly seed: number;
  /** Bytes of one shard of the table; only tests need less than the default. */
  readonly shardBytes?: number;
}

/** Trained weights without any padding, as `@modelpress/dan` wants them. */
export interface DanWeights {
  readonly rows: Float32Array;
  readonly w1: Float32Array;
  readonly b1: Float32Array;
  readonly w2: Float32Array;
  readonly b2: Float32Array;
  readonly attention?: Float32Array;
}

const padded = (size: number): number => Math.ceil(size / 8) * 8;
/** Embeddings start uniform in +-this: small, so that means of a few n-grams move early. */
const TABLE_RANGE = 0.1;

const NONE = new Float32Array(0);

export class DanTrainer {
  readonly table: DanTable;
  readonly dense: DenseLayers;
  private readonly width: number;
  private readonly stride: number;
  /** Of attentive pooling alone. */
  readonly attention: Attention | undefined;
  private stepsDone = 0;

  constructor(private readonly options: DanTrainerOptions) {
    const { rows, dimension, hidden, classes, seed, shardBytes } = options;
    if (classes < 2) throw invalid('distill.classes', 'A DAN needs at least two classes.', { field: 'student' });
    this.width = padded(dimension);
    this.stride = padded(classes);
    this.table = new DanTable(rows, this.width, shardBytes);
    this.dense = new DenseLayers({ dimension: this.width, hidden: padded(hidden), classes: this.stride });
    this.dense.initialise({ dimension, hidden, classes }, seed);
    this.attention = options.pooling === 'attentive' ? new Attention(this.width) : undefined;
    const random = new Random(seed + 1);
    for (const weights of this.table.weights) {
      for (let i = 0; i < weights.length; i++) {
        if (i % this.width < dimension) weights[i] = TABLE_RANGE * (random.uint32() / 2 ** 31 - 1);
      }
    }
  }

  get step(): number {
    return this.stepsDone;
  }

  /** Logits of a batch, [texts, classes]. */
  logits(batch: NgramBatch): Float32Array {
    const { classes } = this.options;
    const { pooled } = this.pool(batch);
    const result = new Float32Array(batch.texts * classes);
    this.dense.setMask(0, [0, 0]);
    for (let first = 0; first < batch.texts; first += CHUNK) {
      const rows = Math.min(CHUNK, batch.texts - first);
      const logits = this.dense.forward(pooled.subarray(first * this.width, (first + rows) * this.width), rows);
      for (let row = 0; row < rows; row++) {
        result.set(logits.subarray(row * this.stride, row * this.stride + classes), (first + row) * classes);
      }
    }
    return result;
  }

  /**
   * One optimizer step. @returns the loss before it
   * @throws ModelpressError `train.not-finite` before anything is updated
   */
  train(batch: NgramBatch, targets: DanTargets, options: DanLossOptions, learningRate: number): number {
    const { pooling, optimizer } = this.options;
    const forward = this.pool(batch);
    const { pooled } = forward;
    const gradients = new Float32Array(pooled.length);
    const loss = this.backward(batch, pooled, targets, options, gradients);
    if (!Number.isFinite(loss)) {
      throw new ModelpressError('invalid', 'train.not-finite', `The loss is ${loss} at step ${this.stepsDone + 1}.`, {
        step: this.stepsDone + 1,
      });
    }
    if (pooling === 'mean') divideByCounts(batch, gradients, this.width);
    this.stepsDone++;
    const scalars = adamwScalars(optimizer, this.stepsDone, learningRate, optimizer.weightDecay, 1);
    this.dense.update(scalars);
    const attention = this.attention?.backward(this.table, batch, forward, gradients, scalars);
    this.table.update(
      batch,
      gradients,
      { ...(pooling === 'max' && { maxima: pooled }), ...(attention && { attention }) },
      scalars,
    );
    return loss;
  }

  /** The weights without padding. */
  weights(): DanWeights {
    const { rows, dimension, hidden, classes } = this.options;
    const table = new Float32Array(rows * dimension);
    let row = 0;
    for (const part of this.table.weights) {
      for (let at = 0; at < part.length; at += this.width) {
        table.set(part.subarray(at, at + dimension), row++ * dimension);
      }
    }
    return {
      rows: table,
      w1: unpadded(this.dense.weight('w1'), dimension, hidden, padded(hidden)),
      b1: this.dense.weight('b1').slice(0, hidden),
      w2: unpadded(this.dense.weight('w2'), hidden, classes, this.stride),
      b2: this.dense.weight('b2').slice(0, classes),
      ...(this.attention && { attention: this.attention.query.slice(0, dimension) }),
    };
  }

  /** Weights alone: what is kept as the best. */
  get weightArrays(): Float32Array[] {
    const query = this.attention ? [this.attention.query] : [];
    return [...this.table.weights, ...this.dense.weights, ...query];
  }

  /** Weights and moments: what training goes on from. */
  get stateArrays(): Float32Array[] {
    return [...this.table.state, ...this.dense.state, ...(this.attention?.state ?? [])];
  }

  /** After `stateArrays` were written: the step that they belong to. */
  resumeAt(step: number): void {
    this.stepsDone = step;
  }

  /** The texts' vectors; `alphas` are the weights of attentive pooling. */
  private pool(batch: NgramBatch): { pooled: Float32Array; alphas: Float32Array } {
    const { pooling } = this.options;
    if (this.attention) return this.attention.pool(this.table, batch);
    const pooled = new Float32Array(batch.texts * this.width);
    this.table.pool(batch, pooling === 'attentive' ? 'mean' : pooling, pooled);
    if (pooling === 'mean') divideByCounts(batch, pooled, this.width);
    return { pooled, alphas: NONE };
  }

  private backward(
    batch: NgramBatch,
    pooled: Float32Array,
    targets: DanTargets,
    options: DanLossOptions,
    gradients: Float32Array,
  ): number {
    const { classes, dropout, seed } = this.options;
    const labelled = targets.labels.subarray(0, batch.texts).reduce((sum, label) => sum + (label < 0 ? 0 : 1), 0);
    const counts = { texts: batch.texts, labelled };
    let loss = 0;
    this.dense.startStep();
    this.dense.setMask(0, [0, 0]);
    for (let first = 0; first < batch.texts; first += CHUNK) {
      const rows = Math.min(CHUNK, batch.texts - first);
      if (dropout > 0) this.dense.setMask(dropout, maskKey(seed, this.stepsDone, first));
      const logits = this.dense.forward(pooled.subarray(first * this.width, (first + rows) * this.width), rows);
      const logitGradients = this.dense.logitGradients(rows);
      loss += danLoss(logits, classes, this.stride, targets, first, counts, options, logitGradients);
      gradients.set(this.dense.backward(rows), first * this.width);
    }
    return loss;
  }
}

/** Each text's vector over its number of n-grams. */
function divideByCounts({ texts, offsets }: NgramBatch, vectors: Float32Array, width: number): void {
  for (let text = 0; text < texts; text++) {
    const count = offsets[text + 1] - offsets[text];
    if (count < 2) continue;
    const factor = 1 / count;
    for (let i = text * width; i < (text + 1) * width; i++) vectors[i] *= factor;
  }
}

function unpadded(values: Float32Array, rows: number, columns: number, stride: number): Float32Array {
  const result = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    result.set(values.subarray(row * stride, row * stride + columns), row * columns);
  }
  return result;
}
