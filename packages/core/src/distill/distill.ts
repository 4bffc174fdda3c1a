/** @file Distillation from folders to a student: transfer set, teacher's logits, student, the better of its two parts. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readBundle } from '../bundle';
import type { Bundle } from '../bundle';
import { invalid, unsupported } from '../errors';
import { tokenizeData } from '../finetune/train-on';
import type { StageContext } from '../stages/stage';
import { loadTokenizer, readDatasetInfo } from '../text';
import type { DatasetInfo } from '../text';
import { trainingConfig } from './config';
import type { DistillConfig } from './config';
import { distillDan } from './dan-run';
import { distillGraph } from './graph-run';
import { nearWords } from './near-words';
import { partContext } from './parts';
import type { DistillResult } from './parts';
import type { TeacherLogits } from './soft-targets';
import { teacherLogits } from './teacher';
import { writeTransferSet } from './transfer-set';
import type { TransferSet } from './transfer-set';

/**
 * @throws ModelpressError `distill.*`, `dan.*`, `train.*`, `dataset.*`, `tokenizer.*`, `cancelled`
 */
export async function distill(config: DistillConfig, context: StageContext): Promise<DistillResult> {
  const { model: folder, datasets } = context;
  if (folder === undefined || datasets.data === undefined) {
    throw invalid('stage.input', 'The distill stage needs a teacher and a data set.');
  }
  const bundle = await readBundle(folder);
  requireTeacher(bundle, config.mode === 'standard' ? await readDatasetInfo(datasets.data) : undefined);
  const transfer = await writeTransferSet(config, bundle.labels, context, async () =>
    nearWords(bundle, await loadTokenizer(folder), config.augment.near, context),
  );
  const logits = await logitsOf(config, folder, bundle, transfer, context);
  const teacher = { folder, bundle, logits };
  const { student } = config;
  const result =
    student.type === 'dan'
      ? await distillDan(config, student, teacher, transfer, context)
      : await distillGraph(config, student, teacher, transfer, context);
  const detail = {
    teacher: bundle.manifest.name,
    student: student.type,
    mode: config.mode,
    kept: result.kept,
    seed: context.seed,
  };
  const provenance = [...bundle.manifest.provenance, { step: 'distill', detail }];
  const pairs = bundle.manifest.task === 'pair-classification' && student.type === 'dan' ? [PAIR_WARNING] : [];
  return {
    ...result,
    bundle: { ...result.bundle, manifest: { ...result.bundle.manifest, provenance } },
    warnings: [...pairs, ...result.warnings],
  };
}

const PAIR_WARNING =
  'A DAN reads the two texts of a pair as one bag of n-grams: expect to lose accuracy (Ye et al. 2022 lose 8 points on QQP).';

/** The teacher's own tokenizer reads the transfer texts; labels play no part. */
async function logitsOf(
  config: DistillConfig,
  folder: string,
  bundle: Bundle,
  transfer: TransferSet,
  context: StageContext,
): Promise<TeacherLogits> {
  const part = partContext(context, transfer.folder, 'teacher', [0, 0.1]);
  await mkdir(join(context.checkpoints, 'teacher'), { recursive: true });
  const info = await readDatasetInfo(transfer.folder);
  const { train } = info.splits;
  const only = { ...info, splits: train ? { train } : {} };
  const settings = { ...trainingConfig(config, 'distill'), batchSize: TEACHER_BATCH };
  // Without log: the student's own data warn of a missing dev split.
  const quiet = { ...part, log: () => undefined };
  const data = await tokenizeData(quiet, settings, bundle, await loadTokenizer(folder), only);
  return teacherLogits(folder, bundle.manifest, data.train, part);
}

const TEACHER_BATCH = 32;

/** @throws unsupported `distill.task`, invalid `distill.labels`, `distill.no-train-split`, `distill.tokenizer` */
function requireTeacher({ manifest, labels }: Bundle, data: DatasetInfo | undefined): void {
  const { name, task, tokenizer } = manifest;
  if (task !== 'classification' && task !== 'pair-classification') {
    throw unsupported('distill.task', `Only classifiers can teach; "${name}" does ${task}.`, { field: 'model' });
  }
  if (!tokenizer || tokenizer.kind === 'ngram') {
    throw invalid('distill.tokenizer', `The model "${name}" cannot teach: it does not read tokens.`, {
      field: 'model',
    });
  }
  if (!data) return;
  if (!data.splits.train) {
    throw invalid('distill.no-train-split', `The data set "${data.name}" has no train split to learn from.`, {
      field: 'datasets.data',
    });
  }
  const missing = data.labels.filter((label) => !labels.includes(label));
  if (missing.length === 0) return;
  throw invalid(
    'distill.labels',
    `The teacher "${name}" does not know the labels ${missing.slice(0, 5).join(', ')}: fine-tune it on this data first.`,
    { field: 'datasets.data' },
  );
}
