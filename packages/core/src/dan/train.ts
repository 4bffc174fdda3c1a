/** @file Training a DAN over epochs: batches, schedule, dev score, the best weights, and going on after a stop. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { throwIfAborted } from '../errors';
import { scoreClassification } from '../evaluate/classification';
import type { TeacherLogits } from '../distill/soft-targets';
import type { StageContext } from '../stages/stage';
import type { TokenRows } from '../text';
import { EarlyStopping } from '../train/early-stopping';
import type { EarlyStoppingState } from '../train/early-stopping';
import { Random, streamKey } from '../train/random';
import { scheduleFactor } from '../train/schedule';
import type { ScheduleConfig } from '../train/schedule';
import { readArrays, writeArrays } from './arrays-file';
import type { DanLossOptions, DanTargets } from './loss';
import type { NgramBatch } from './table';
import type { DanTrainer } from './trainer';

export interface DanRun {
  /** N-gram slots and labels of the texts to learn from. */
  readonly rows: TokenRows;
  /** Logits of the same rows; absent when only labels teach. */
  readonly teacher?: TeacherLogits;
  readonly dev?: TokenRows;
  readonly loss: DanLossOptions;
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly schedule: ScheduleConfig;
  /** Share of the n-grams that each text loses, anew in each epoch. */
  readonly featureDropout: number;
  readonly patience?: number | undefined;
  /** Folder for checkpoints. */
  readonly folder: string;
  /** Seconds between checkpoints; default 120. */
  readonly saveSeconds?: number;
  readonly context: Pick<StageContext, 'seed' | 'signal' | 'progress' | 'metric' | 'log'>;
}

export interface DanScores {
  readonly accuracy: number;
  readonly macroF1: number;
  readonly mcc: number;
  readonly loss: number;
}

export interface DanRunResult {
  readonly steps: number;
  readonly lossCurve: readonly (readonly [step: number, loss: number])[];
  readonly scoreCurve: readonly (readonly [epoch: number, accuracy: number])[];
  /** Of the weights that the trainer ends with. */
  readonly dev?: DanScores;
  readonly seconds: number;
}

/** Where a run stands. */
interface Position {
  readonly epoch: number;
  /** Batches of that epoch that are done. */
  readonly index: number;
  readonly step: number;
  readonly seconds: number;
  readonly stopping: EarlyStoppingState;
  readonly lossCurve: [number, number][];
  readonly scoreCurve: [number, number][];
}

/**
 * Trains, and goes on from what a stopped attempt left in the folder, with the same result; the trainer ends with the weights of the epoch that is best on `dev`, or without it with the last.
 * @throws ModelpressError `train.not-finite`, `cancelled`
 */
export async function trainDan(trainer: DanTrainer, run: DanRun): Promise<DanRunResult> {
  const { rows, dev, epochs, batchSize, patience, folder, saveSeconds = 120, context } = run;
  mkdirSync(folder, { recursive: true });
  const best = join(folder, 'best.f32');
  const stepsPerEpoch = Math.ceil(rows.rows / batchSize);
  const totalSteps = Math.max(1, Math.round(epochs * stepsPerEpoch));
  const position = resume(trainer, folder);
  const stopping = new EarlyStopping({ mode: 'max', patience }, position?.stopping);
  const lossCurve = position?.lossCurve ?? [];
  const scoreCurve = position?.scoreCurve ?? [];
  const firstStep = trainer.step - (position?.step ?? 0);
  let savedAt = performance.now();
  const started = savedAt - 1000 * (position?.seconds ?? 0);
  const saveSometimes = (epoch: number, index: number): void => {
    const now = performance.now();
    if (now - savedAt < 1000 * saveSeconds) return;
    const step = trainer.step - firstStep;
    const seconds = (now - started) / 1000;
    save(trainer, folder, { epoch, index, step, seconds, stopping: stopping.save(), lossCurve, scoreCurve });
    savedAt = performance.now();
  };
  for (let epoch = position?.epoch ?? 0; epoch < Math.ceil(epochs); epoch++) {
    if (stopping.exhausted) break;
    const order = new Random(streamSeed(context.seed, epoch)).permutation(rows.rows);
    const firstIndex = epoch === position?.epoch ? position.index : 0;
    for (let index = firstIndex; index < stepsPerEpoch; index++) {
      const step = trainer.step - firstStep + 1;
      if (step > totalSteps) break;
      // Steps block this thread: give cancellation and progress messages a turn.
      await new Promise(setImmediate);
      throwIfAborted(context.signal);
      const { batch, targets } = makeBatch(run, order.subarray(index * batchSize, (index + 1) * batchSize), epoch);
      const rate = run.learningRate * scheduleFactor(run.schedule, step, totalSteps);
      const loss = trainer.train(batch, targets, run.loss, rate);
      context.metric('loss', step, loss);
      if (step <= 100 || step % Math.ceil(totalSteps / 400) === 0) lossCurve.push([step, loss]);
      context.progress({ fraction: step / totalSteps, phase: `epoch ${epoch + 1}/${Math.ceil(epochs)}` });
      saveSometimes(epoch, index + 1);
    }
    if (dev) {
      const { accuracy } = scoreDan(trainer, dev, batchSize);
      scoreCurve.push([epoch + 1, accuracy]);
      context.metric('dev.accuracy', trainer.step - firstStep, accuracy);
      context.log('info', `epoch ${epoch + 1}: dev accuracy ${accuracy.toFixed(4)}`);
      if (stopping.record(accuracy, trainer.step)) writeArrays(best, trainer.weightArrays);
    }
    saveSometimes(epoch + 1, 0);
  }
  if (dev && stopping.best !== null) readArrays(best, trainer.weightArrays);
  const seconds = (performance.now() - started) / 1000;
  const scores = dev && scoreDan(trainer, dev, batchSize);
  return { steps: trainer.step - firstStep, lossCurve, scoreCurve, ...(scores && { dev: scores }), seconds };
}

/** Figures of the trainer's present weights on labelled rows. */
export function scoreDan(trainer: DanTrainer, rows: TokenRows, batchSize: number): DanScores {
  const parts: Float32Array[] = [];
  for (let first = 0; first < rows.rows; first += batchSize) {
    const count = Math.min(batchSize, rows.rows - first);
    parts.push(
      trainer.logits(
        batchOf(
          rows,
          Uint32Array.from({ length: count }, (_, i) => first + i),
        ),
      ),
    );
  }
  const classes = parts[0].length / Math.min(batchSize, rows.rows);
  const logits = new Float32Array(rows.rows * classes);
  parts.forEach((part, i) => logits.set(part, i * batchSize * classes));
  const { accuracy, macroF1, mcc, loss } = scoreClassification({ logits, classes, labels: rows.labels }).scores;
  return { accuracy, macroF1, mcc, loss };
}

function makeBatch(
  { rows, teacher, featureDropout, context }: DanRun,
  numbers: Uint32Array,
  epoch: number,
): { batch: NgramBatch; targets: DanTargets } {
  const random = featureDropout > 0 ? new Random(streamSeed(context.seed, epoch, numbers[0])) : undefined;
  const batch = batchOf(rows, numbers, random && (() => random.uint32() >= featureDropout * 2 ** 32));
  const labels = Int32Array.from(numbers, (row) => (Number.isNaN(rows.labels[row]) ? -1 : rows.labels[row]));
  if (!teacher) return { batch, targets: { labels } };
  const logits = new Float32Array(numbers.length * teacher.classes);
  numbers.forEach((row, i) => logits.set(teacher.row(row), i * teacher.classes));
  return { batch, targets: { labels, teacher: logits } };
}

/** The n-grams of some rows, or of those the ones that `keep` lets through. */
function batchOf(rows: TokenRows, numbers: Uint32Array, keep?: () => boolean): NgramBatch {
  const offsets = new Int32Array(numbers.length + 1);
  const ids = new Uint32Array(numbers.reduce((sum, row) => sum + rows.lengths[row], 0));
  let used = 0;
  numbers.forEach((row, text) => {
    const all = rows.ids(row);
    for (const id of all) if (!keep || keep()) ids[used++] = id;
    offsets[text + 1] = used;
  });
  return { texts: numbers.length, offsets, ids: ids.subarray(0, used) };
}

const streamSeed = (...words: number[]): readonly [number, number, number, number] => [
  ...streamKey(...words, 1),
  ...streamKey(...words, 2),
];

/** Weights go to a file of their own, whose name the position has: a stop at any moment leaves one that fits the other. */
function save(trainer: DanTrainer, folder: string, position: Position): void {
  const path = join(folder, 'last.json');
  const weights = `last-${trainer.step}.f32`;
  writeArrays(join(folder, weights), trainer.stateArrays);
  writeFileSync(`${path}.new`, JSON.stringify({ ...position, trainerStep: trainer.step, weights }));
  renameSync(`${path}.new`, path);
  for (const name of readdirSync(folder)) {
    if (name.startsWith('last-') && name !== weights) rmSync(join(folder, name));
  }
}

function resume(trainer: DanTrainer, folder: string): Position | undefined {
  const path = join(folder, 'last.json');
  if (!existsSync(path)) return undefined;
  const saved = JSON.parse(readFileSync(path, 'utf8')) as Position & { trainerStep: number; weights: string };
  readArrays(join(folder, saved.weights), trainer.stateArrays);
  trainer.resumeAt(saved.trainerStep);
  return saved;
}
