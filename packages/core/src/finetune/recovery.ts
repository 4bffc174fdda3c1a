/** @file Training a compressed model back to what it could, with the model it was made from as teacher if wanted. */
import { z } from 'zod';
import { refreshManifest } from '../bundle';
import type { Bundle } from '../bundle';
import { withSoftTargets } from '../distill/soft-targets';
import { teacherLogits } from '../distill/teacher';
import { invalid } from '../errors';
import { parameterNames } from '../passes';
import { trainingSchema } from './config';
import { taskLoss } from './loss';
import type { TaskLoss } from './loss';
import { lossOptions, trainOn } from './train-on';
import type { TokenizedData, TrainingContext, TrainingOutcome, TrainingRunOptions } from './train-on';

/** Training settings of a stage that works without any training, too. */
export const recoverySchema = trainingSchema.extend({
  epochs: z.number().min(0).max(1000).default(0).describe('Recovery training, in passes over the training split.'),
  distill: z
    .strictObject({
      weight: z.number().min(0).max(1).default(0.5).describe('Share of the original model in the loss.'),
      temperature: z.number().positive().default(2).describe('Softens both distributions.'),
    })
    .optional()
    .describe('Let the original model teach the compressed one while it recovers.'),
});
export type RecoveryConfig = z.infer<typeof recoverySchema>;

/**
 * The task's own loss, mixed with that of the teacher's logits where the config asks for it.
 * @param original folder of the bundle that teaches
 */
export async function recoveryLoss(
  config: RecoveryConfig,
  context: TrainingContext,
  original: string,
  bundle: Bundle,
  data: TokenizedData,
): Promise<TaskLoss> {
  const { task, output } = bundle.manifest;
  const own = taskLoss(task, output, lossOptions(config, data, bundle));
  if (!config.distill) return own;
  const progress = ({ phase }: { phase: string }): void => context.progress({ fraction: 0, phase });
  const quiet = { ...context, progress, precision: config.precision };
  return withSoftTargets(
    own,
    output,
    await teacherLogits(original, bundle.manifest, data.train, quiet),
    config.distill,
  );
}

export interface RecoveryOptions {
  readonly config: RecoveryConfig;
  readonly context: TrainingContext;
  /** Folder of the bundle that teaches. */
  readonly original: string;
  readonly data: TokenizedData;
  /** Weights to train; default all. */
  readonly trainable?: readonly string[];
  /** Hears of the trainer before the first step and may observe its steps. */
  readonly hooks?: TrainingRunOptions['hooks'];
}

/** What training did, and the bundle with its weights. */
export interface Recovery extends Omit<TrainingOutcome, 'trainer'> {
  readonly bundle: Bundle;
}

/** Trains the weights of a bundle on the data. @throws ModelpressError `train.*`, `cancelled` */
export async function recover(bundle: Bundle, options: RecoveryOptions): Promise<Recovery> {
  const { config, context, original, data, hooks } = options;
  const { model, manifest } = bundle;
  const loss = await recoveryLoss(config, context, original, bundle, data);
  const trainable = options.trainable ?? parameterNames(model);
  const training = { manifest, model, trainable, loss, data, config, ...(hooks && { hooks }) };
  return trainOn(training, context, ({ trainer, ...outcome }) => {
    const trained = trainer.exportModel();
    return { ...outcome, bundle: { ...bundle, model: trained, manifest: refreshManifest(manifest, trained) } };
  });
}

/** @throws invalid `code` when the data has labels that the model does not know */
export function requireLabels(
  { labels, manifest }: Pick<Bundle, 'labels' | 'manifest'>,
  needed: readonly string[],
  code = 'finetune.labels',
): void {
  const missing = needed.filter((label) => !labels.includes(label));
  if (missing.length === 0) return;
  throw invalid(
    code,
    `The model "${manifest.name}" does not know the labels ${missing.slice(0, 5).join(', ')}: fine-tune it on this data first.`,
    { field: 'datasets.data' },
  );
}
