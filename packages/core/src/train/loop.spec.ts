import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainLoop } from './loop';
import type { BatchSource, CurvePoint, TrainLoopOptions, TrainLoopResult, TrainingProgress } from './loop';
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

const timeless = (points: readonly CurvePoint[]) => points.map((point) => ({ ...point, seconds: 0 }));
const withoutSeconds = (result: TrainLoopResult): TrainLoopResult => ({
  ...result,
  seconds: 0,
  losses: timeless(result.losses),
  scores: timeless(result.scores),
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
    expect(result).toMatchObject({ steps: 9, stoppedEarly: false });
    expect(result.best).toBeUndefined();
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
      expect(result).toMatchObject({ steps: 8, stoppedEarly: true, best: { score: 0.9, step: 4 } });
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
      expect(withoutSeconds(await second.outcome)).toEqual(withoutSeconds(expected));
      expect(trace).toEqual(whole);
      expect(second.subject.parameter('W1').weight).toEqual(reference.subject.parameter('W1').weight);
    }
  });

  it('ends when a budget of operations is spent, the rate following the budget', async () => {
    const counted = await trainLoop(trainer(), options({ length: { steps: 20 } }));
    expect(counted.flops).toBeGreaterThan(0);
    const rates: number[] = [];
    const scored: number[] = [];
    const result = await trainLoop(
      trainer(),
      options({
        length: { flops: counted.flops },
        schedule: scheduleSchema.parse({ warmup: { ratio: 0 } }),
        evaluation: { mode: 'min', times: 4, score: async () => 1 },
        onStep: ({ learningRate }) => rates.push(learningRate / 0.01),
        onScore: (_, step) => scored.push(step),
      }),
    );
    expect(result).toMatchObject({ steps: 20, flops: counted.flops, stoppedEarly: false });
    const left = result.losses.map(({ flops }) => 1 - flops / counted.flops);
    rates.slice(1).forEach((rate, i) => expect(rate).toBeCloseTo(left[i], 10));
    expect(scored).toHaveLength(4);
    expect(scored.at(-1)).toBe(20);
  });

  it('ends when a budget of seconds is spent, evaluations and interruptions not counted', async () => {
    let clock = 0;
    const now = jest.spyOn(performance, 'now').mockImplementation(() => clock);
    try {
      const slow: BatchSource = {
        epoch: () => ({
          count: 5,
          batch: (index) => {
            clock += 1500;
            return bagBatch(index);
          },
        }),
      };
      const run = (abort: AbortController) =>
        trainLoop(
          trainer(),
          options({
            source: slow,
            checkpoints: folder,
            signal: abort.signal,
            length: { seconds: 12 },
            onStep: ({ step }) => {
              if (step === 3) abort.abort();
            },
            evaluation: {
              mode: 'min',
              everySteps: 1,
              score: async () => {
                clock += 60_000;
                return 1;
              },
            },
          }),
        );
      await expect(run(new AbortController())).rejects.toMatchObject({ kind: 'cancelled' });
      const result = await run(new AbortController());
      expect(result).toMatchObject({ steps: 8, seconds: 12 });
      expect(result.scores.map(({ seconds }) => seconds)).toEqual([1.5, 3, 4.5, 6, 7.5, 9, 10.5, 12]);
    } finally {
      now.mockRestore();
    }
  });

  it('does not keep weights that may not be kept', async () => {
    const scores = [0.9, 0.1, 0.5];
    let seen = 0;
    const result = await trainLoop(
      trainer(),
      options({
        evaluation: { mode: 'max', score: async () => scores[seen++], mayKeep: () => seen > 1 },
      }),
    );
    expect(result.best).toEqual({ score: 0.5, step: 15 });
    expect(result.scores.map(({ value }) => value)).toEqual(scores);
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
