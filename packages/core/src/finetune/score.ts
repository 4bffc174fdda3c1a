/** @file Scores of the weights being trained, on batches of a split. */
import type { Manifest } from '../bundle';
import { scoreClassification } from '../evaluate/classification';
import { logSumExp } from '../evaluate/perplexity';
import { scoreRegression } from '../evaluate/regression';
import type { Batches } from '../text';
import type { Trainer } from '../train/trainer';
import type { TaskLoss } from './loss';

/** What can decide which weights are kept. */
export type ScoreMetric = 'accuracy' | 'macroF1' | 'mcc' | 'loss' | 'pearson';

/** The figures that a task has. */
export type Scores = Partial<Record<ScoreMetric, number>>;

/** Which way is better. */
export const METRIC_MODE: Readonly<Record<ScoreMetric, 'max' | 'min'>> = {
  accuracy: 'max',
  macroF1: 'max',
  mcc: 'max',
  loss: 'min',
  pearson: 'max',
};

/** Scores the trainer's present weights, without dropout. */
export async function scoreBatches(
  trainer: Pick<Trainer, 'forward'>,
  batches: Batches,
  { task, output }: Pick<Manifest, 'task' | 'output'>,
  loss: TaskLoss,
): Promise<Scores> {
  if (task === 'causal-lm') return { loss: await meanTokenLoss(trainer, batches, output, loss) };
  const { logits, width, labels } = await collect(trainer, batches, output);
  if (task === 'regression') return { pearson: scoreRegression(logits, labels).pearson };
  const { scores } = scoreClassification({ logits, classes: width, labels });
  return { accuracy: scores.accuracy, macroF1: scores.macroF1, mcc: scores.mcc, loss: scores.loss };
}

/** Outputs and labels of every real row. */
async function collect(
  trainer: Pick<Trainer, 'forward'>,
  batches: Batches,
  output: string,
): Promise<{ logits: Float32Array; width: number; labels: Float32Array }> {
  const epoch = batches.epoch(0);
  const parts: Float32Array[] = [];
  const labels: number[] = [];
  let width = 1;
  for (let i = 0; i < epoch.count; i++) {
    const { inputs, rows } = epoch.batch(i);
    const { dims, data } = (await trainer.forward(inputs))[output];
    width = dims[1] ?? 1;
    parts.push((data as Float32Array).slice(0, rows.length * width));
    for (const row of rows) labels.push(batches.source.labels[row]);
  }
  const logits = new Float32Array(labels.length * width);
  parts.reduce((at, part) => {
    logits.set(part, at);
    return at + part.length;
  }, 0);
  return { logits, width, labels: Float32Array.from(labels) };
}

/** Mean cross-entropy of predicted tokens, in nats. */
async function meanTokenLoss(
  trainer: Pick<Trainer, 'forward'>,
  batches: Batches,
  output: string,
  loss: TaskLoss,
): Promise<number> {
  const epoch = batches.epoch(0);
  let sum = 0;
  let tokens = 0;
  for (let i = 0; i < epoch.count; i++) {
    const batch = epoch.batch(i);
    const labels = loss.training(batch, batches.source).inputs.labels.data as BigInt64Array;
    const { dims, data } = (await trainer.forward(batch.inputs))[output];
    const vocabulary = dims[2];
    labels.forEach((label, position) => {
      if (label < 0n) return;
      const logits = (data as Float32Array).subarray(position * vocabulary, (position + 1) * vocabulary);
      sum += logSumExp(logits) - logits[Number(label)];
      tokens++;
    });
  }
  return sum / tokens;
}
