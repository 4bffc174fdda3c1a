/** @file Pretraining from unlabelled text to bundle: tokenize, hide or shift tokens, train within a budget. */
import { join } from 'node:path';
import { readManifest, refreshManifest } from '../bundle';
import type { Bundle } from '../bundle';
import type { Architecture } from '../bundle/manifest';
import { startingBundle } from '../finetune/start';
import { requireTrainSplit } from '../finetune/train-on';
import { clone } from '../graph';
import type { Model } from '../graph';
import { insertDropout } from '../models';
import { parameterNames } from '../passes';
import { ortRuntime } from '../runtime/ort';
import type { StageContext } from '../stages/stage';
import { readDatasetInfo } from '../text';
import type { Batches } from '../text';
import { trainLoop } from '../train/loop';
import type { BatchSource, TrainLoopResult } from '../train/loop';
import { trainingEngine } from '../train/precision';
import { Trainer } from '../train/trainer';
import type { PretrainConfig } from './config';
import { HeldOutLoss } from './held-out';
import { objectiveOf, objectiveTask } from './objective';
import type { Objective } from './objective';
import { textRows } from './text-rows';

export interface PretrainResult {
  /** Task masked-lm or causal-lm, with the weights of the lowest held-out loss. */
  readonly bundle: Bundle;
  readonly training: TrainLoopResult;
  /** Mean cross-entropy of predicted held-out tokens, in nats; perplexity is its exponential. */
  readonly heldOutLoss: number;
  /** Held-out tokens that are predicted. */
  readonly heldOutTokens: number;
  /** Passes over the text. */
  readonly epochs: number;
  readonly warnings: readonly string[];
}

/** What pretraining needs of a stage's context. */
export type PretrainContext = Pick<
  StageContext,
  'model' | 'checkpoints' | 'seed' | 'threads' | 'signal' | 'progress' | 'log' | 'metric'
> & { readonly dataset: string };

/**
 * Trains a language model on the texts of a data set, labelled or not.
 * @throws ModelpressError `pretrain.*`, `finetune.no-model`, `train.*`, `dataset.*`, `cancelled`
 */
export async function pretrain(config: PretrainConfig, context: PretrainContext): Promise<PretrainResult> {
  const { dataset, model, seed, threads, log } = context;
  const info = await readDatasetInfo(dataset);
  requireTrainSplit(info);
  const task = objectiveTask(await architectureOf(config, model));
  const { scratch, maxLength } = config;
  const start = await startingBundle({ model, dataset, task, labels: [], scratch, maxLength, seed });
  const { bundle, tokenizer } = start;
  const text = await textRows(context, config, bundle.manifest, tokenizer, info);
  const { runtime, precision, warning } = trainingEngine(config.precision);
  const warnings = [...start.warnings, ...text.warnings, ...(warning === undefined ? [] : [warning])];
  for (const warning of warnings) log('warn', warning);
  const objective = objectiveOf(bundle, tokenizer, config.masking);
  const compile = { threads };
  const trainer = new Trainer({
    model: objective.model,
    loss: objective.loss,
    optimizer: config.optimizer,
    seed,
    runtime,
    compile: { ...compile, precision },
    ...(config.dropout > 0 && { dropout: (graph: Model) => insertDropout(graph, { ratio: config.dropout }) }),
  });
  const heldOut = new HeldOutLoss(
    { objective, text: text.heldOut, batches: config.evaluationBatches, runtime: ortRuntime, compile, seed },
    trainer.slabs.feeds,
  );
  try {
    const training = await run(config, context, trainer, batchSource(objective, text.train, seed), heldOut);
    const stepsPerEpoch = Math.ceil(text.train.epoch(0).count / config.accumulate);
    return {
      bundle: finished(bundle, trainer, config, training, seed),
      training,
      heldOutLoss: await heldOut.compute(),
      heldOutTokens: heldOut.tokens,
      epochs: training.steps / stepsPerEpoch,
      warnings,
    };
  } finally {
    await heldOut.release();
    await trainer.release();
    for (const rows of [text.train, text.heldOut]) rows.source.close();
  }
}

async function architectureOf({ scratch }: PretrainConfig, model: string | undefined): Promise<Architecture> {
  if (scratch || model === undefined) return scratch?.architecture ?? 'bert';
  return (await readManifest(model)).architecture;
}

/** Batches whose hidden tokens depend on seed, epoch and number of the batch alone. */
const batchSource = (objective: Objective, rows: Batches, seed: number): BatchSource => ({
  epoch(number) {
    const epoch = rows.epoch(number);
    return {
      count: epoch.count,
      batch: (index) => objective.batch(epoch.batch(index), rows.source, [seed, number, index]),
    };
  },
});

function run(
  config: PretrainConfig,
  context: PretrainContext,
  trainer: Trainer,
  source: BatchSource,
  heldOut: HeldOutLoss,
): Promise<TrainLoopResult> {
  return trainLoop(trainer, {
    source,
    length: config.budget,
    accumulate: config.accumulate,
    learningRate: config.optimizer.learningRate,
    schedule: config.schedule,
    checkpoints: join(context.checkpoints, 'train'),
    signal: context.signal,
    onStep: ({ step, loss }) => context.metric('loss', step, loss),
    onProgress: (progress) => context.progress(progress),
    evaluation: {
      mode: 'min',
      times: config.evaluations,
      async score({ step }) {
        const loss = await heldOut.compute();
        context.metric('heldOut.perplexity', step, Math.exp(loss));
        context.log('info', `step ${step}: held-out perplexity ${Math.exp(loss).toFixed(2)}`);
        return loss;
      },
    },
  });
}

function finished(
  bundle: Bundle,
  trainer: Trainer,
  config: PretrainConfig,
  { steps, flops }: TrainLoopResult,
  seed: number,
): Bundle {
  const model = clone(bundle.model);
  const trained = trainer.exportModel();
  for (const name of parameterNames(model)) model.graph.value(name).constant = trained.graph.value(name).constant;
  const step = { step: 'pretrain', detail: { budget: config.budget, steps, flops, seed } };
  const manifest = refreshManifest(bundle.manifest, model, { provenance: [...bundle.manifest.provenance, step] });
  return { ...bundle, model, manifest };
}
