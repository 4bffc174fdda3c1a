/** @file Distilling into a DAN: count n-grams, train the table, prune it, hand over what the runtime loads. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DanModel } from '@modelpress/dan';
import type { Bundle } from '../bundle';
import {
  buildVocabulary,
  countNgrams,
  danBundle,
  DanTrainer,
  requireTableMemory,
  trainDan,
  writeNgramRows,
} from '../dan';
import type { DanRun, DanRunResult, NgramVocabulary } from '../dan';
import { pruneTable } from '../dan/prune-table';
import { startFromWords } from '../dan/start';
import { readArrays, writeArrays } from '../dan/arrays-file';
import type { StageContext } from '../stages/stage';
import { readDatasetInfo, readSplit, TokenRows } from '../text';
import type { Split } from '../text';
import { optimizerSchema } from '../train/optimizer';
import { trainingEngine } from '../train/precision';
import { trainingConfig } from './config';
import type { DanStudent, DistillConfig } from './config';
import { betterPart, fineTunes, partContext } from './parts';
import type { DistillResult, PartName, PartResult } from './parts';
import type { TeacherLogits } from './soft-targets';
import { teacherWords } from './teacher-words';
import type { TransferSet } from './transfer-set';

/** Share of texts without any known n-gram above which a user should know. */
const MANY_UNKNOWN = 0.01;

export async function distillDan(
  config: DistillConfig,
  student: DanStudent,
  teacher: { readonly folder: string; readonly bundle: Bundle; readonly logits: TeacherLogits },
  transfer: TransferSet,
  context: StageContext,
): Promise<DistillResult> {
  const { labels, manifest } = teacher.bundle;
  const { warning } = trainingEngine(config.precision);
  const warnings = warning === undefined ? [] : [warning];
  const vocabulary = await makeVocabulary(student, transfer, context, warnings);
  requireTableMemory(vocabulary.hash.fingerprints.length, student.dimension);
  const rowsOf = (dataset: string, split: Split, name: string): Promise<TokenRows> =>
    ngramRows(dataset, split, vocabulary, labels, join(context.checkpoints, 'ngrams', name), context, warnings);
  const train = await rowsOf(transfer.folder, 'train', 'transfer');
  const hasDev = (await readDatasetInfo(transfer.folder)).splits.dev !== undefined;
  const dev = hasDev ? await rowsOf(transfer.folder, 'dev', 'dev') : undefined;
  if (!dev) warnings.push('There is no dev split to choose by: the weights of the last step are kept.');

  const { dimension, hidden = dimension, pooling, featureDropout } = student;
  const rate = trainingConfig(config, 'distill').optimizer;
  const trainer = new DanTrainer({
    rows: vocabulary.hash.fingerprints.length,
    dimension,
    hidden,
    classes: labels.length,
    pooling,
    optimizer: optimizerSchema.parse(rate),
    dropout: config.dropout,
    seed: context.seed,
  });
  if (student.start === 'teacher') {
    const words = await teacherWords(teacher.folder, teacher.bundle, student.dimension, context.seed);
    const texts = readSplit(transfer.folder, 'train');
    await startFromWords(trainer.table, vocabulary, texts, pooling, words, context.signal);
  }
  const runPart = async (
    name: PartName,
    range: readonly [number, number],
    what: Pick<DanRun, 'rows' | 'teacher' | 'loss'>,
  ): Promise<PartResult> => {
    const settings = trainingConfig(config, name);
    const part = partContext(context, transfer.folder, name, range);
    const result = await trainDan(trainer, {
      ...what,
      ...(dev ? { dev } : {}),
      epochs: settings.epochs,
      batchSize: Math.min(settings.batchSize, what.rows.rows),
      learningRate: settings.optimizer.learningRate,
      schedule: settings.schedule,
      featureDropout,
      patience: settings.patience,
      folder: part.checkpoints,
      context: part,
    });
    return partResult(name, result);
  };

  const weight = config.mode === 'private' ? 1 : config.weight;
  const tunes = fineTunes(config);
  const distilled = await runPart('distill', [0.1, tunes ? 0.8 : 0.98], {
    rows: train,
    teacher: teacher.logits,
    loss: { temperature: config.temperature, weight },
  });
  const parts = [distilled];
  let kept: PartName = 'distill';
  if (tunes) {
    const saved = join(context.checkpoints, 'distilled.f32');
    writeArrays(saved, trainer.weightArrays);
    const labelled = await rowsOf(context.datasets.data!, 'train', 'labelled');
    const tuned = await runPart('fineTune', [0.8, 0.98], { rows: labelled, loss: { temperature: 1, weight: 0 } });
    parts.push(tuned);
    kept = betterPart(distilled, tuned);
    if (kept === 'distill') readArrays(saved, trainer.weightArrays);
  }
  const whole = modelOf(student, labels, vocabulary, trainer);
  const dan = student.keepNgrams < 1 ? pruneTable(whole, vocabulary, train, student.keepNgrams) : whole;
  const basis = { name: `DAN student of ${manifest.name}`, task: manifest.task, provenance: manifest.provenance };
  return { bundle: danBundle(dan, basis), dan, transfer, parts, kept, warnings };
}

/** What the runtime loads: the trained weights. */
function modelOf(
  { minOrder, maxOrder, dimension, hidden = dimension, pooling }: DanStudent,
  labels: readonly string[],
  { hash }: NgramVocabulary,
  trainer: DanTrainer,
): DanModel {
  const { rows, ...layers } = trainer.weights();
  const table = { type: 'float32', rows } as const;
  return { labels, minOrder, maxOrder, dimension, hidden, pooling, hash, table, ...layers };
}

async function makeVocabulary(
  student: DanStudent,
  { folder }: TransferSet,
  context: StageContext,
  warnings: string[],
): Promise<NgramVocabulary> {
  context.progress({ fraction: 0.1, phase: 'counting n-grams' });
  const { minOrder, maxOrder, ngrams: limit, countMegabytes } = student;
  const { ngrams, error, distinct } = await countNgrams(readSplit(folder, 'train'), {
    minOrder,
    maxOrder,
    limit,
    memoryBytes: countMegabytes * 2 ** 20,
    textBytes: statSync(join(folder, 'train.jsonl')).size,
    signal: context.signal,
  });
  context.log('info', `${distinct} different n-grams, of which the ${ngrams.counts.length} most frequent are known.`);
  if (error > 0) {
    warnings.push(
      `Counting n-grams ran out of ${countMegabytes} MiB: counts may be too low by up to ${error}. Raise student.countMegabytes.`,
    );
  }
  return buildVocabulary(ngrams.a, ngrams.b, student);
}

async function ngramRows(
  dataset: string,
  split: Split,
  vocabulary: NgramVocabulary,
  labels: readonly string[],
  folder: string,
  { signal }: StageContext,
  warnings: string[],
): Promise<TokenRows> {
  if (!existsSync(folder)) mkdirSync(folder, { recursive: true });
  const { rows, unknownRows } = await writeNgramRows(readSplit(dataset, split), vocabulary, labels, folder, signal);
  if (unknownRows > MANY_UNKNOWN * rows) {
    const share = ((100 * unknownRows) / rows).toFixed(1);
    warnings.push(`${share} % of the ${split} texts have no known n-gram: they all get the same answer.`);
  }
  return new TokenRows(folder);
}

const partResult = (name: PartName, { lossCurve, scoreCurve, dev, steps, seconds }: DanRunResult): PartResult => ({
  name,
  lossCurve,
  scoreCurve,
  metric: 'accuracy',
  ...(dev ? { dev: { ...dev } } : {}),
  steps,
  seconds,
});
