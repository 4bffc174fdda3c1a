import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainLoop } from './loop';
import type { BatchSource, TrainLoopOptions, TrainingProgress } from './loop';
import { optimizerSchema } from './optimizer';
import { scheduleSchema } from './schedule';
import { bagBatch, bagModel, classificationLoss } from './testing';
import { Trainer } from './trainer';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'loop-'));
});
afterEach(() => rm(folder, { recursive: true }));

const trainer = (): Trainer =>
  new Trainer({
    model: bagModel(),
    loss: classificationLoss,
    optimizer: optimizerSchema.parse({ learningRate: 0.01 }),
    seed: 1,
    compile: { threads: 1 },
  });

/** Five batches an epoch, different in each epoch. */
const source: BatchSource = {
  epoch: (epoch) => ({ count: 5, batch: (index) => bagBatch(epoch * 100 + index, 3, 3 + (index % 2)) }),
};

const options = (more: Partial<TrainLoopOptions> = {}): TrainLoopOptions => ({
  source,
  length: { epochs: 3 },
  learningRate: 0.01,
  schedule: scheduleSchema.parse({}),
  ...more,
});

describe('trainLoop', () => {
  it('runs the epochs with accumulation and schedule, reporting steps and progress', async () => {
    const rates: number[] = [];
    const progress: TrainingProgress[] = [];
    const result = await trainLoop(
      trainer(),
      options({
        accumulate: 2,
        onStep: ({ learningRate }) => rates.push(learningRate),
        onProgress: (point) => progress.push(point),
      }),
    );
    // 5 batches in groups of 2, 2 and 1: 3 steps an epoch, 9 in all, of which the first (10 %, rounded up) warms up.
    expect(result).toEqual({ steps: 9, stoppedEarly: false });
    expect(rates.map((rate) => Math.round((rate / 0.01) * 8))).toEqual([0, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(progress.map(({ phase }) => phase)).toEqual(
      [1, 2, 3].flatMap((e) => Array.from({ length: 3 }, () => `epoch ${e}/3`)),
    );
    expect(progress.at(-1)).toMatchObject({ fraction: 1, etaSeconds: 0 });
  });

  it('stops at a number of steps, crossing epochs', async () => {
    const phases: string[] = [];
    const result = await trainLoop(
      trainer(),
      options({ length: { steps: 7 }, onProgress: ({ phase }) => phases.push(phase) }),
    );
    expect(result.steps).toBe(7);
    expect(phases.at(-1)).toBe('step 7/7');
  });

  it('evaluates, keeps the best weights and stops early', async () => {
    for (const checkpoints of [undefined, folder]) {
      const scores = [0.1, 0.9, 0.8, 0.7, 0.6];
      const seen: [number, number][] = [];
      let bestWeights: Float32Array | undefined;
      const subject = trainer();
      const result = await trainLoop(
        subject,
        options({
          ...(checkpoints && { checkpoints }),
          evaluation: {
            mode: 'max',
            patience: 2,
            everySteps: 2,
            score: async (evaluated) => {
              if (seen.length === 1) bestWeights = evaluated.parameter('W1').weight.slice();
              return scores[seen.length];
            },
          },
          onScore: (score, step) => seen.push([step, score]),
        }),
      );
      expect(result).toEqual({ steps: 8, stoppedEarly: true, best: { score: 0.9, step: 4 } });
      expect(seen).toEqual([
        [2, 0.1],
        [4, 0.9],
        [6, 0.8],
        [8, 0.7],
      ]);
      expect(subject.parameter('W1').weight).toEqual(bestWeights);
    }
  });

  it('evaluates at the end of each epoch and after the last step', async () => {
    const steps: number[] = [];
    const evaluation = { mode: 'min', score: async () => 1 } as const;
    await trainLoop(trainer(), options({ length: { steps: 12 }, evaluation, onScore: (_, step) => steps.push(step) }));
    expect(steps).toEqual([5, 10, 12]);
  });

  it('continues the same curve after being cancelled anywhere, scores and best included', async () => {
    interface Trace {
      losses: [number, number][];
      scores: [number, number][];
    }
    const run = async (checkpoints: string | undefined, trace: Trace, stopAfter = Infinity) => {
      const abort = new AbortController();
      const subject = trainer();
      const outcome = trainLoop(
        subject,
        options({
          accumulate: 2,
          ...(checkpoints && { checkpoints }),
          signal: abort.signal,
          onStep: ({ step, loss }) => {
            trace.losses.push([step, loss]);
            if (step === stopAfter) abort.abort();
          },
          onScore: (score, step) => trace.scores.push([step, score]),
          evaluation: {
            mode: 'min',
            everySteps: 2,
            score: async (evaluated) =>
              Number((await evaluated.forward({ ids: bagBatch(9).inputs.ids })).logits.data[0]),
          },
        }),
      );
      return { outcome, subject };
    };
    const whole: Trace = { losses: [], scores: [] };
    const reference = await run(undefined, whole);
    const expected = await reference.outcome;
    for (let stopAfter = 1; stopAfter < 9; stopAfter++) {
      const trace: Trace = { losses: [], scores: [] };
      const place = join(folder, String(stopAfter));
      const first = await run(place, trace, stopAfter);
      await expect(first.outcome).rejects.toMatchObject({ kind: 'cancelled' });
      const second = await run(place, trace);
      expect(await second.outcome).toEqual(expected);
      expect(trace).toEqual(whole);
      expect(second.subject.parameter('W1').weight).toEqual(reference.subject.parameter('W1').weight);
    }
  });

  it('keeps the last good checkpoint when the loss is no longer finite', async () => {
    const subject = trainer();
    const broken = trainLoop(
      subject,
      options({
        checkpoints: folder,
        onStep: ({ step }) => {
          if (step === 7) subject.parameter('b1').weight[0] = NaN;
        },
      }),
    );
    await expect(broken).rejects.toMatchObject({ code: 'train.not-finite', details: { step: 8 } });
    expect(await readdir(folder)).toEqual(['last.ckpt']);
    const steps: number[] = [];
    await trainLoop(trainer(), options({ checkpoints: folder, onStep: ({ step }) => steps.push(step) }));
    expect(steps[0]).toBe(6);
  });

  it('refuses a source without batches', async () => {
    const empty: BatchSource = { epoch: () => ({ count: 0, batch: () => bagBatch(1) }) };
    await expect(trainLoop(trainer(), options({ source: empty }))).rejects.toMatchObject({ code: 'train.no-data' });
  });
});
