/** @file Fine-tuning from data set folder to bundle: tokenize, train, keep the best, export. */
import { refreshManifest } from '../bundle';
import type { Bundle } from '../bundle';
import type { Model } from '../graph';
import type { StageContext } from '../stages/stage';
import { readDatasetInfo } from '../text';
import type { TrainLoopResult } from '../train/loop';
import type { FinetuneConfig } from './config';
import { taskLoss } from './loss';
import { prepareMethod } from './method';
import { startingBundle, TASK_OF_KIND } from './start';
import { lossOptions, requireTrainSplit, tokenizeData, trainOn } from './train-on';
import type { TrainingContext, TrainingOutcome } from './train-on';

export interface FinetuneResult extends Omit<TrainingOutcome, 'trainer'> {
  readonly bundle: Bundle;
  readonly warnings: readonly string[];
}

/**
 * Trains a bundle on a data set's train split, choosing weights on its dev split.
 * @throws ModelpressError `finetune.*`, `train.*`, `dataset.*`, `cancelled`
 */
export async function finetune(
  config: FinetuneConfig,
  context: TrainingContext & Pick<StageContext, 'model'>,
): Promise<FinetuneResult> {
  const { dataset, seed, model, log } = context;
  const { maxLength, scratch } = config;
  const info = await readDatasetInfo(dataset);
  requireTrainSplit(info);
  const task = TASK_OF_KIND[info.kind];
  const start = await startingBundle({ model, dataset, task, labels: info.labels, scratch, maxLength, seed });
  for (const warning of start.warnings) log('warn', warning);
  const { bundle, tokenizer } = start;
  const { manifest } = bundle;
  const data = await tokenizeData(context, config, bundle, tokenizer, info);
  const method = prepareMethod(bundle, config.method, seed);
  const loss = taskLoss(manifest.task, manifest.output, lossOptions(config, data, bundle));
  const options = { manifest, model: method.model, trainable: method.trainable, loss, data, config };
  return trainOn(options, context, ({ trainer, ...outcome }) => ({
    ...outcome,
    bundle: finished(bundle, method.finish(trainer), config, outcome.training, seed),
    warnings: [...start.warnings, ...data.warnings],
  }));
}

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
