/** @file Distillation from folders to a student: transfer set, teacher's logits, student, the better of its two parts. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid } from '../errors';
import { tokenizeData } from '../finetune/train-on';
import type { StageContext } from '../stages/stage';
import { loadTokenizer, readDatasetInfo } from '../text';
import { trainingConfig } from './config';
import type { DistillConfig } from './config';
import { distillDan } from './dan-run';
import { distillGraph } from './graph-run';
import { nearWords } from './near-words';
import { logitKey } from './logit-cache';
import { partContext } from './parts';
import type { DistillResult } from './parts';
import { mixLogits } from './soft-targets';
import type { TeacherLogits, WeightedLogits } from './soft-targets';
import { teacherLogits } from './teacher';
import { readTeachers } from './teachers';
import type { Teacher } from './teachers';
import { writeTransferSet } from './transfer-set';
import type { TransferSet } from './transfer-set';

/**
 * @throws ModelpressError `distill.*`, `dan.*`, `train.*`, `dataset.*`, `tokenizer.*`, `cancelled`
 */
export async function distill(config: DistillConfig, context: StageContext): Promise<DistillResult> {
  const { model, datasets } = context;
  if (model === undefined || datasets.data === undefined) {
    throw invalid('stage.input', 'The distill stage needs a teacher and a data set.');
  }
  const data = config.mode === 'standard' ? await readDatasetInfo(datasets.data) : undefined;
  const teachers = await readTeachers(config, { ...context, model }, data);
  const [{ folder, bundle }] = teachers;
  const transfer = await writeTransferSet(config, bundle.labels, context, async () =>
    nearWords(bundle, await loadTokenizer(folder), config.augment.near, context),
  );
  const weighted: WeightedLogits[] = [];
  for (const [i, each] of teachers.entries()) {
    const range = [(0.1 * i) / teachers.length, (0.1 * (i + 1)) / teachers.length] as const;
    const logits = await logitsOf(config, each, i, range, transfer, context);
    const columns = bundle.labels.map((label) => each.bundle.labels.indexOf(label));
    weighted.push({ logits, weight: each.weight, columns });
  }
  const teacher = { folder, bundle, logits: mixLogits(weighted) };
  const { student } = config;
  const result =
    student.type === 'dan'
      ? await distillDan(config, student, teacher, transfer, context)
      : await distillGraph(config, student, teacher, transfer, context);
  const detail = {
    teachers: teachers.map((each) => each.bundle.manifest.name),
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

/** Each teacher's own tokenizer reads the transfer texts; labels play no part. */
async function logitsOf(
  config: DistillConfig,
  { folder, bundle }: Teacher,
  index: number,
  range: readonly [number, number],
  transfer: TransferSet,
  context: StageContext,
): Promise<TeacherLogits> {
  const name = index === 0 ? 'teacher' : `teacher-${index + 1}`;
  const part = partContext(context, transfer.folder, 'teacher', range);
  const checkpoints = join(context.checkpoints, name);
  await mkdir(checkpoints, { recursive: true });
  const info = await readDatasetInfo(transfer.folder);
  const { train } = info.splits;
  const only = { ...info, splits: train ? { train } : {} };
  const settings = { ...trainingConfig(config, 'distill'), batchSize: TEACHER_BATCH };
  // Without log: the student's own data warn of a missing dev split.
  const quiet = { ...part, checkpoints, log: () => undefined };
  const data = await tokenizeData(quiet, settings, bundle, await loadTokenizer(folder), only);
  const texts = join(transfer.folder, 'train.jsonl');
  const { cache } = context;
  const key = (): Promise<string> => logitKey(folder, texts, config);
  const shared = cache === undefined ? undefined : { folder: join(cache, 'logits'), key };
  return teacherLogits(
    folder,
    bundle.manifest,
    data.train,
    { ...part, checkpoints, precision: config.precision },
    shared,
  );
}

const TEACHER_BATCH = 32;
