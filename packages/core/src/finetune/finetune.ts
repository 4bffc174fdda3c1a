/** @file Fine-tuning from data set folder to bundle: tokenize, train, keep the best, export. */
import { join } from 'node:path';
import { refreshManifest } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import type { Architecture } from '../bundle/manifest';
import { invalid, ModelpressError } from '../errors';
import type { Model } from '../graph';
import { insertDropout } from '../models';
import type { StageContext } from '../stages/stage';
import { Batches, readDatasetInfo, tokenizeSplit } from '../text';
import type { DatasetInfo, Split, TokenRows, Tokenizer } from '../text';
import type { DropoutSite } from '../train/dropout-masks';
import { trainLoop } from '../train/loop';
import type { BatchSource, EpochBatches, TrainLoopResult } from '../train/loop';
import { Trainer } from '../train/trainer';
import type { FinetuneConfig, TrainingConfig } from './config';
import { taskLoss } from './loss';
import type { TaskLoss } from './loss';
import { prepareMethod } from './method';
import { METRIC_MODE, scoreBatches } from './score';
import type { Scores, ScoreMetric } from './score';
import { startingBundle } from './start';

/** What fine-tuning needs of a stage's context. */
export type FinetuneContext = Pick<
  StageContext,
  'model' | 'checkpoints' | 'seed' | 'threads' | 'signal' | 'progress' | 'log' | 'metric'
> & { readonly dataset: string };

export interface FinetuneResult {
  readonly bundle: Bundle;
  readonly info: DatasetInfo;
  readonly training: TrainLoopResult;
  /** Scores on the dev split of the weights that were kept; absent without that split. */
  readonly dev?: Scores;
  readonly trainableParameters: number;
  /** [step, loss], thinned. */
  readonly lossCurve: readonly (readonly [number, number])[];
  /** [epoch, score of the chosen metric]. */
  readonly scoreCurve: readonly (readonly [number, number])[];
  readonly metric: ScoreMetric;
  readonly seconds: number;
  readonly warnings: readonly string[];
}

/**
 * Trains a bundle on a data set's train split, choosing weights on its dev split.
 * @throws ModelpressError `finetune.*`, `train.*`, `dataset.*`, `cancelled`
 */
export async function finetune(config: FinetuneConfig, context: FinetuneContext): Promise<FinetuneResult> {
  const { dataset, seed, signal, threads, checkpoints } = context;
  const info = await readDatasetInfo(dataset);
  requireTrainSplit(info);
  const { maxLength } = config;
  const start = await startingBundle({ model: context.model, dataset, info, scratch: config.scratch, maxLength, seed });
  for (const warning of start.warnings) context.log('warn', warning);
  const { bundle, tokenizer } = start;
  const { manifest } = bundle;

  const task = await tokenizeTask(context, config, bundle, tokenizer, info);
  const method = prepareMethod(bundle, config.method, seed);
  const loss = taskLoss(manifest.task, manifest.output, {
    labelSmoothing: config.labelSmoothing,
    ...(config.classWeights === 'balanced' && {
      classWeights: balancedWeights(task.train.source, bundle.labels.length),
    }),
  });
  const trainer = new Trainer({
    model: method.model,
    parameters: method.trainable,
    loss: loss.loss,
    optimizer: config.optimizer,
    seed,
    compile: { threads },
    ...(hasDropout(manifest.architecture) && config.dropout > 0 && { dropout: dropoutOf(config.dropout) }),
  });
  try {
    const metric = config.metric ?? DEFAULT_METRIC[manifest.task];
    const stepsPerEpoch = Math.ceil(task.train.epoch(0).count / config.accumulate);
    const lossCurve: [number, number][] = [];
    const scoreCurve: [number, number][] = [];
    const devScores = async (): Promise<Scores> => scoreBatches(trainer, task.dev!, manifest, loss);
    const started = performance.now();
    const training = await trainLoop(trainer, {
      source: trainingSource(task.train, loss),
      length: lengthOf(config, stepsPerEpoch),
      accumulate: config.accumulate,
      learningRate: config.optimizer.learningRate,
      schedule: config.schedule,
      checkpoints: join(checkpoints, 'train'),
      signal,
      onStep: ({ step, loss: value }) => {
        context.metric('loss', step, value);
        if (isPlotted(step)) lossCurve.push([step, value]);
      },
      onScore: (score, step) => {
        scoreCurve.push([step / stepsPerEpoch, score]);
        context.metric(`dev.${metric}`, step, score);
        context.log('info', `step ${step}: dev ${metric} ${score.toFixed(4)}`);
      },
      onProgress: (progress) => context.progress(progress),
      ...(task.dev && { evaluation: evaluationOf(config, metric, async () => valueOf(await devScores(), metric)) }),
    });
    const seconds = (performance.now() - started) / 1000;
    const dev = task.dev && (await devScores());
    return {
      bundle: finished(bundle, method.finish(trainer), config, training, seed),
      info,
      training,
      ...(dev && { dev }),
      trainableParameters: trainer.slabs.slots.reduce((sum, slot) => sum + slot.size, 0),
      lossCurve,
      scoreCurve,
      metric,
      seconds,
      warnings: [...start.warnings, ...task.warnings],
    };
  } finally {
    await trainer.release();
  }
}

const DEFAULT_METRIC: Readonly<Record<Manifest['task'], ScoreMetric>> = {
  classification: 'accuracy',
  'pair-classification': 'accuracy',
  regression: 'pearson',
  'masked-lm': 'loss',
  'causal-lm': 'loss',
  embedding: 'loss',
};

function requireTrainSplit(info: DatasetInfo): void {
  if (info.splits.train) return;
  throw invalid('finetune.no-train-split', `The data set "${info.name}" has no train split to learn from.`, {
    field: 'data',
  });
}

interface TokenizedTask {
  readonly train: Batches;
  readonly dev: Batches | undefined;
  readonly warnings: readonly string[];
}

async function tokenizeTask(
  context: FinetuneContext,
  config: TrainingConfig,
  { manifest, labels }: Bundle,
  tokenizer: Tokenizer,
  info: DatasetInfo,
): Promise<TokenizedTask> {
  const maxLength = Math.min(config.maxLength, manifest.maxLength);
  const warnings: string[] = [];
  if (maxLength < config.maxLength)
    warnings.push(`maxLength was lowered to ${maxLength}, the most that the model takes.`);
  const batchesOf = async (split: Split, shuffle: boolean): Promise<Batches> => {
    const { rows, statistics } = await tokenizeSplit(context.dataset, split, tokenizer, {
      maxLength,
      labels,
      folder: join(context.checkpoints, `tokens-${split}`),
      signal: context.signal,
    });
    if (statistics.unseenLabels.length > 0) {
      const names = statistics.unseenLabels.join(', ');
      throw invalid('finetune.labels', `The ${split} split has labels that the model does not have: ${names}.`, {
        field: 'data',
      });
    }
    const cut = statistics.truncatedRows / Math.max(1, statistics.rows);
    if (cut > 0.01)
      warnings.push(
        `${(100 * cut).toFixed(1)} % of the ${split} texts are longer than ${maxLength} tokens and were cut.`,
      );
    const { batchSize } = config;
    return new Batches(rows, {
      batchSize: Math.min(batchSize, Math.max(1, statistics.rows)),
      maxLength,
      padId: tokenizer.padId,
      inputs: manifest.inputs,
      labels: info.kind === 'regression' ? 'value' : info.labels.length > 0 ? 'class' : 'none',
      ...(shuffle && { shuffleSeed: context.seed }),
    });
  };
  const train = await batchesOf('train', true);
  const hasDev = info.splits.dev !== undefined && info.splits.dev.rows > 0;
  if (!hasDev) warnings.push('The data set has no dev split: the weights of the last step are kept.');
  const dev = hasDev ? await batchesOf('dev', false) : undefined;
  for (const warning of warnings) context.log('warn', warning);
  return { train, dev, warnings };
}

const trainingSource = (batches: Batches, loss: TaskLoss): BatchSource => ({
  epoch(number): EpochBatches {
    const epoch = batches.epoch(number);
    return { count: epoch.count, batch: (index) => loss.training(epoch.batch(index), batches.source) };
  },
});

const lengthOf = ({ epochs }: TrainingConfig, stepsPerEpoch: number): { epochs: number } | { steps: number } =>
  Number.isInteger(epochs) ? { epochs } : { steps: Math.max(1, Math.round(epochs * stepsPerEpoch)) };

function evaluationOf(
  { keepBest, patience, evaluateEverySteps }: TrainingConfig,
  metric: ScoreMetric,
  score: () => Promise<number>,
): {
  mode: 'max' | 'min';
  keepBest: boolean;
  patience: number | undefined;
  everySteps?: number;
  score: () => Promise<number>;
} {
  return {
    mode: METRIC_MODE[metric],
    keepBest,
    patience,
    ...(evaluateEverySteps !== undefined && { everySteps: evaluateEverySteps }),
    score,
  };
}

function valueOf(scores: Scores, metric: ScoreMetric): number {
  const value = scores[metric];
  if (value !== undefined) return value;
  throw new ModelpressError(
    'invalid',
    'finetune.metric',
    `This task has no metric "${metric}"; it has ${Object.keys(scores).join(', ')}.`,
    {
      field: 'metric',
    },
  );
}

/** Class weights n / (classes * n_c); 1 for classes that do not occur. */
function balancedWeights({ labels }: TokenRows, classes: number): number[] {
  const counts = new Float64Array(classes);
  for (const label of labels) counts[label]++;
  return Array.from(counts, (count) => (count === 0 ? 1 : labels.length / (classes * count)));
}

const hasDropout = (architecture: Architecture): boolean => architecture !== 'textcnn' && architecture !== 'bilstm';

const dropoutOf =
  (ratio: number) =>
  (model: Model): readonly DropoutSite[] =>
    insertDropout(model, { ratio });

/** Every step at first, then ever fewer: about 500 points for a run of any length. */
const isPlotted = (step: number): boolean => step <= 200 || step % Math.ceil(step / 200) === 0;

function finished(
  bundle: Bundle,
  model: Model,
  config: FinetuneConfig,
  training: TrainLoopResult,
  seed: number,
): Bundle {
  const step = { step: 'finetune', detail: { method: config.method, steps: training.steps, seed } };
  const manifest = refreshManifest(bundle.manifest, model, { provenance: [...bundle.manifest.provenance, step] });
  return { ...bundle, model, manifest };
}
