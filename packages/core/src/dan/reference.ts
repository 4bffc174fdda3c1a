/** @file A DAN's loss in plain JavaScript and double precision: the oracle of the trainer's gradients. */
import type { Pooling } from '@modelpress/dan';
import type { DanLossOptions, DanTargets } from './loss';
import type { NgramBatch } from './table';
import type { DanWeights } from './trainer';

export interface DanSizes {
  readonly dimension: number;
  readonly hidden: number;
  readonly classes: number;
}

/** The loss of a batch, without dropout. */
export function referenceLoss(
  weights: DanWeights,
  { dimension, hidden, classes }: DanSizes,
  pooling: Pooling,
  batch: NgramBatch,
  { teacher, labels }: DanTargets,
  { temperature, weight }: DanLossOptions,
): number {
  const soft = teacher ? weight : 0;
  const labelled = labels.filter((label) => label >= 0).length;
  let loss = 0;
  for (let text = 0; text < batch.texts; text++) {
    const ids = [...batch.ids.subarray(batch.offsets[text], batch.offsets[text + 1])];
    const rows = ids.map((id) => [...weights.rows.subarray(id * dimension, (id + 1) * dimension)]);
    const scores = rows.map((row) => row.reduce((sum, e, d) => sum + e * (weights.attention?.[d] ?? 0), 0));
    const alphas = logSoftmax(scores, 1).map(Math.exp);
    const x = Array.from({ length: dimension }, (_, d) =>
      pooled(
        rows.map((row) => row[d]),
        pooling,
        alphas,
      ),
    );
    const active = layer(x, weights.w1, weights.b1, hidden).map((value) => Math.max(0, value));
    const logits = layer(active, weights.w2, weights.b2, classes);
    if (teacher) {
      const target = logSoftmax([...teacher.subarray(text * classes, (text + 1) * classes)], temperature);
      const student = logSoftmax(logits, temperature);
      const divergence = target.reduce((sum, t, c) => sum + Math.exp(t) * (t - student[c]), 0);
      loss += (soft * temperature ** 2 * divergence) / batch.texts;
    }
    if (labels[text] >= 0) loss -= ((1 - soft) * logSoftmax(logits, 1)[labels[text]]) / labelled;
  }
  return loss;
}

function pooled(values: readonly number[], pooling: Pooling, alphas: readonly number[]): number {
  if (values.length === 0) return 0;
  if (pooling === 'attentive') return values.reduce((sum, value, i) => sum + alphas[i] * value, 0);
  if (pooling === 'max') return Math.max(...values);
  const sum = values.reduce((a, b) => a + b, 0);
  return pooling === 'mean' ? sum / values.length : sum;
}

const layer = (x: readonly number[], w: Float32Array, b: Float32Array, outputs: number): number[] =>
  Array.from({ length: outputs }, (_, o) => x.reduce((sum, value, i) => sum + value * w[i * outputs + o], b[o]));

function logSoftmax(logits: readonly number[], temperature: number): number[] {
  const scaled = logits.map((z) => z / temperature);
  const total = Math.log(scaled.reduce((sum, z) => sum + Math.exp(z), 0));
  return scaled.map((z) => z - total);
}
