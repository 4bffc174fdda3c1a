/** @file Training a bundle's model on a data set folder: what finetune, prune and distill have in common. */
import { join } from 'node:path';
import type { Bundle, Manifest } from '../bundle';
import { invalid, ModelpressError } from '../errors';
import type { Model } from '../graph';
import { insertDropout } from '../models';
import type { HostTensor } from '../runtime/runtime';
import type { StageContext } from '../stages/stage';
import { Batches, tokenizeSplit } from '../text';
import type { Batch, DatasetInfo, Split, TokenRows, Tokenizer } from '../text';
import type { DropoutSite } from '../train/dropout-masks';
import { trainLoop } from '../train/loop';
import type { BatchSource, EpochBatches, TrainLoopResult } from '../train/loop';
import { trainingEngine } from '../train/precision';
import { Trainer } from '../train/trainer';
import type { TrainerHooks, TrainingBatch } from '../train/trainer';
import type { TrainingConfig } from './config';
import type { LossOptions, TaskLoss } from './loss';
import { METRIC_MODE, scoreBatches } from './score';
import type { Scores, ScoreMetric } from './score';

/** What training needs of a stage's context. */
export type TrainingContext = Pick<
  StageContext,
  'checkpoints' | 'seed' | 'threads' | 'signal' | 'progress' | 'log' | 'metric'
> & { readonly dataset: string };

/** The splits of a data set as batches for one model. */
export interface TokenizedData {
  readonly train: Batches;
  readonly dev: Batches | undefined;
  readonly warnings: readonly string[];
}

export interface TrainingRunOptions {
  readonly manifest: Manifest;
  /** The graph to train; may have more parameters than the manifest's model. */
  readonly model: Model;
  /** Initializers to train. */
  readonly trainable: readonly string[];
  readonly loss: TaskLoss;
  readonly data: TokenizedData;
  readonly config: TrainingConfig;
  /** Tensors that every forward pass reads besides the batch; may change between steps. */
  readonly feeds?: () => Readonly<Record<string, HostTensor>>;
  /** Tensors that the loss reads of a training batch and that take computing, such as a teacher's hidden states. */
  readonly companion?: (batch: Batch) => Promise<Readonly<Record<string, HostTensor>>>;
  /** Factor on the learning rate by parameter; default 1. */
  readonly learningRateFactor?: (name: string) => number;
  /** Hears of the trainer before the first step and may observe its steps. */
  readonly hooks?: (trainer: Trainer, stepsPerEpoch: number) => TrainerHooks;
  /** Whether the weights of now may be kept as the best; default: always. */
  readonly mayKeep?: () => boolean;
}

export interface TrainingOutcome {
  readonly trainer: Trainer;
  readonly training: TrainLoopResult;
  /** Scores on the dev split of the weights that the trainer ends with; absent without that split. */
  readonly dev?: Scores;
  readonly trainableParameters: number;
  readonly stepsPerEpoch: number;
  /** [step, loss], thinned. */
  readonly lossCurve: readonly (readonly [number, number])[];
  /** [epoch, score of the chosen metric]. */
  readonly scoreCurve: readonly (readonly [number, number])[];
  readonly metric: ScoreMetric;
  readonly seconds: number;
}

/**
 * Trains and hands the trainer, which holds the chosen weights, to `use`; it is released afterwards.
 * @throws ModelpressError `train.*`, `cancelled`
 */
export async function trainOn<T>(
  options: TrainingRunOptions,
  context: TrainingContext,
  use: (outcome: TrainingOutcome) => T | Promise<T>,
): Promise<T> {
  const { config, data, loss } = options;
  const stepsPerEpoch = Math.ceil(data.train.epoch(0).count / config.accumulate);
  const hooks: { -readonly [H in keyof TrainerHooks]: TrainerHooks[H] } = {};
  const { runtime, precision } = trainingEngine(config.precision);
  const trainer = new Trainer({
    model: options.model,
    parameters: options.trainable,
    loss: loss.loss,
    optimizer: config.optimizer,
    seed: context.seed,
    runtime,
    compile: { threads: context.threads, precision },
    hooks,
    ...(options.learningRateFactor && { learningRateFactor: options.learningRateFactor }),
    ...(config.dropout > 0 && { dropout: dropoutOf(config.dropout) }),
  });
  try {
    Object.assign(hooks, options.hooks?.(trainer, stepsPerEpoch));
    return await use(await run(options, context, trainer, stepsPerEpoch));
  } finally {
    await trainer.release();
  }
}

async function run(
  { manifest, config, data, loss, companion, feeds = () => ({}), mayKeep = () => true }: TrainingRunOptions,
  context: TrainingContext,
  trainer: Trainer,
  stepsPerEpoch: number,
): Promise<TrainingOutcome> {
  const metric = config.metric ?? DEFAULT_METRIC[manifest.task];
  const forward = { forward: (inputs: Record<string, HostTensor>) => trainer.forward({ ...inputs, ...feeds() }) };
  const devScores = async (): Promise<Scores> => scoreBatches(forward, data.dev!, manifest, loss);
  const started = performance.now();
  const training = await trainLoop(trainer, {
    source: trainingSource(data.train, loss, feeds, companion),
    length: lengthOf(config, stepsPerEpoch),
    accumulate: config.accumulate,
    learningRate: config.optimizer.learningRate,
    schedule: config.schedule,
    checkpoints: join(context.checkpoints, 'train'),
    signal: context.signal,
    onStep: ({ step, loss: value }) => context.metric('loss', step, value),
    onProgress: (progress) => context.progress(progress),
    ...(data.dev && {
      evaluation: {
        mode: METRIC_MODE[metric],
        keepBest: config.keepBest,
        patience: config.patience,
        ...(config.evaluateEverySteps !== undefined && { everySteps: config.evaluateEverySteps }),
        async score() {
          const score = valueOf(await devScores(), metric);
          const { step } = trainer;
          context.metric(`dev.${metric}`, step, score);
          context.log('info', `step ${step}: dev ${metric} ${score.toFixed(4)}`);
          return score;
        },
        mayKeep,
      },
    }),
  });
  const seconds = (performance.now() - started) / 1000;
  const dev = data.dev && (await devScores());
  const trainableParameters = trainer.slabs.slots.reduce((sum, slot) => sum + slot.size, 0);
  return {
    trainer,
    training,
    ...(dev && { dev }),
    trainableParameters,
    stepsPerEpoch,
    lossCurve: training.losses.map(({ steps, value }) => [steps, value]),
    scoreCurve: training.scores.map(({ steps, value }) => [steps / stepsPerEpoch, value]),
    metric,
    seconds,
  };
}

const DEFAULT_METRIC: Readonly<Record<Manifest['task'], ScoreMetric>> = {
  classification: 'accuracy',
  'pair-classification': 'accuracy',
  regression: 'pearson',
  'masked-lm': 'loss',
  'causal-lm': 'loss',
  embedding: 'loss',
};

export function requireTrainSplit(info: DatasetInfo): void {
  if (info.splits.train) return;
  throw invalid('finetune.no-train-split', `The data set "${info.name}" has no train split to learn from.`, {
    field: 'data',
  });
}

/**
 * Tokenizes the train and dev splits. Labels of the dev split that the model does not have count as errors there.
 * @throws `finetune.labels` for such labels in the train split
 */
export async function tokenizeData(
  context: TrainingContext,
  config: TrainingConfig,
  { manifest, labels }: Bundle,
  tokenizer: Tokenizer,
  info: DatasetInfo,
): Promise<TokenizedData> {
  const maxLength = Math.min(config.maxLength, manifest.maxLength);
  const { warning } = trainingEngine(config.precision);
  const warnings = warning === undefined ? [] : [warning];
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
      const unseen = `The ${split} split has labels that the model does not have: ${statistics.unseenLabels.join(', ')}.`;
      if (split === 'train') throw invalid('finetune.labels', unseen, { field: 'data' });
      warnings.push(`${unseen} They count as errors.`);
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

const trainingSource = (
  batches: Batches,
  loss: TaskLoss,
  feeds: () => Readonly<Record<string, HostTensor>>,
  companion: TrainingRunOptions['companion'],
): BatchSource => ({
  epoch(number): EpochBatches {
    const epoch = batches.epoch(number);
    const batch = async (index: number): Promise<TrainingBatch> => {
      const tokens = epoch.batch(index);
      const { inputs } = loss.training(tokens, batches.source);
      return { inputs: { ...inputs, ...feeds(), ...(await companion?.(tokens)) } };
    };
    return { count: epoch.count, batch };
  },
});

const lengthOf = ({ epochs }: TrainingConfig, stepsPerEpoch: number): { epochs: number } | { steps: number } =>
  Number.isInteger(epochs) ? { epochs } : { steps: Math.max(1, Math.round(epochs * stepsPerEpoch)) };

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

const dropoutOf =
  (ratio: number) =>
  (model: Model): readonly DropoutSite[] =>
    insertDropout(model, { ratio });

/** Label smoothing and class weights of a config for this data. */
export function lossOptions(
  { labelSmoothing, classWeights }: TrainingConfig,
  { train }: TokenizedData,
  { labels }: Pick<Bundle, 'labels'>,
): LossOptions {
  const weights = classWeights === 'balanced' ? balancedWeights(train.source, labels.length) : undefined;
  return { labelSmoothing, ...(weights && { classWeights: weights }) };
}
