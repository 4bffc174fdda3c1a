/** @file Distilling into a graph: transformers, TextCNN, BiLSTM. */
import { refreshManifest } from '../bundle';
import type { Bundle } from '../bundle';
import { lossOptions, tokenizeData, trainOn } from '../finetune/train-on';
import type { TrainingOutcome, TrainingRunOptions } from '../finetune/train-on';
import { taskLoss } from '../finetune/loss';
import type { TaskLoss } from '../finetune/loss';
import type { Model } from '../graph';
import { parameterNames } from '../passes';
import type { StageContext } from '../stages/stage';
import { readDatasetInfo } from '../text';
import { trainingConfig } from './config';
import type { DistillConfig, GraphStudent } from './config';
import { matchLayers } from './match';
import type { Matching } from './match';
import { betterPart, fineTunes, partContext } from './parts';
import type { DistillResult, PartName, PartResult } from './parts';
import { withSoftTargets } from './soft-targets';
import type { TeacherLogits } from './soft-targets';
import { createStudent } from './student';
import type { TransferSet } from './transfer-set';

/** Class of texts without a label, which cross-entropy leaves out. */
const IGNORED = -100n;

export async function distillGraph(
  config: DistillConfig,
  student: GraphStudent,
  teacher: { readonly folder: string; readonly bundle: Bundle; readonly logits: TeacherLogits },
  transfer: TransferSet,
  context: StageContext,
): Promise<DistillResult> {
  const maxLength = Math.min(config.maxLength, teacher.bundle.manifest.maxLength);
  const { seed } = context;
  const { bundle, tokenizer } = await createStudent(student, teacher.bundle, teacher.folder, transfer.folder, {
    maxLength,
    seed,
    model: context.model!,
  });
  const trainPart = async (
    name: PartName,
    model: Model,
    dataset: string,
    range: readonly [number, number],
    teach: (own: TaskLoss) => TaskLoss,
    companion?: TrainingRunOptions['companion'],
  ): Promise<{ model: Model; part: PartResult; warnings: readonly string[] }> => {
    const part = partContext(context, dataset, name, range);
    const settings = trainingConfig(config, name);
    const data = await tokenizeData(part, settings, bundle, tokenizer, await readDatasetInfo(dataset));
    const { manifest } = bundle;
    const own = withoutUnlabelled(taskLoss(manifest.task, manifest.output, lossOptions(settings, data, bundle)));
    const options = { manifest, trainable: parameterNames(model), loss: teach(own), data, config: settings };
    return trainOn({ ...options, model, ...(companion ? { companion } : {}) }, part, ({ trainer, ...outcome }) => ({
      model: trainer.exportModel(),
      part: resultOf(name, outcome),
      warnings: data.warnings,
    }));
  };

  const tunes = fineTunes(config);
  const { output } = bundle.manifest;
  const weight = config.mode === 'private' ? 1 : config.weight;
  const soft = (own: TaskLoss): TaskLoss =>
    withSoftTargets(own, output, teacher.logits, { temperature: config.temperature, weight });
  const range = [0.1, tunes ? 0.8 : 0.98] as const;
  const matching = await matchingOf(config, student, bundle, teacher, context);
  const distilled = matching
    ? await distillMatching(matching, (model, companion) =>
        trainPart('distill', model, transfer.folder, range, (own) => matching.withMatching(soft(own)), companion),
      )
    : await trainPart('distill', bundle.model, transfer.folder, range, soft);
  const result = { transfer, warnings: distilled.warnings };
  const finish = (model: Model, kept: PartName): Pick<DistillResult, 'bundle' | 'kept'> => ({
    bundle: { ...bundle, model, manifest: refreshManifest(bundle.manifest, model) },
    kept,
  });
  if (!tunes) return { ...result, ...finish(distilled.model, 'distill'), parts: [distilled.part] };
  const tuned = await trainPart('fineTune', distilled.model, context.datasets.data!, [0.8, 0.98], (own) => own);
  const kept = betterPart(distilled.part, tuned.part);
  const model = kept === 'distill' ? distilled.model : tuned.model;
  return { ...result, ...finish(model, kept), parts: [distilled.part, tuned.part] };
}

/** What is needed to follow the teacher's layers, where that is asked for. */
async function matchingOf(
  { match }: DistillConfig,
  student: GraphStudent,
  { model, manifest }: Bundle,
  teacher: { readonly folder: string; readonly bundle: Bundle },
  { threads, seed }: StageContext,
): Promise<Matching | undefined> {
  if (match.hidden === 0 && match.attention === 0) return undefined;
  const layers = student.type === 'layers' ? { layers: student.keep } : {};
  const options = { ...match, threads, seed, ...layers };
  return matchLayers({ model, manifest }, { folder: teacher.folder, manifest: teacher.bundle.manifest }, options);
}

/** Trains with the teacher beside it. */
async function distillMatching<T extends { readonly model: Model }>(
  matching: Matching,
  train: (model: Model, companion: TrainingRunOptions['companion']) => Promise<T>,
): Promise<T> {
  try {
    const trained = await train(matching.model, (batch) => matching.companion(batch));
    return { ...trained, model: matching.strip(trained.model) };
  } finally {
    await matching.release();
  }
}

const resultOf = (name: PartName, outcome: Omit<TrainingOutcome, 'trainer'>): PartResult => ({
  name,
  lossCurve: outcome.lossCurve,
  scoreCurve: outcome.scoreCurve,
  metric: outcome.metric,
  ...(outcome.dev ? { dev: outcome.dev } : {}),
  steps: outcome.training.steps,
  seconds: outcome.seconds,
});

/** The same loss, for batches in which some texts have no label. */
function withoutUnlabelled(task: TaskLoss): TaskLoss {
  return {
    loss: task.loss,
    training(batch, rows) {
      const { inputs } = task.training(batch, rows);
      const labels = (inputs['labels'].data as BigInt64Array).slice();
      batch.rows.forEach((row, i) => {
        if (Number.isNaN(rows.labels[row])) labels[i] = IGNORED;
      });
      return { inputs: { ...inputs, labels: { ...inputs['labels'], data: labels } } };
    },
  };
}
