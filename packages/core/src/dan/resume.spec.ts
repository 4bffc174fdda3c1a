import { readdirSync } from 'node:fs';
import { temporaryFolder } from '../stages/testing';
import { TokenRows } from '../text';
import { TokenRowsWriter } from '../text/token-rows';
import { optimizerSchema } from '../train/optimizer';
import { Random } from '../train/random';
import { scheduleSchema } from '../train/schedule';
import { trainDan } from './train';
import type { DanRun, DanRunResult } from './train';
import { DanTrainer } from './trainer';

const [ROWS, CLASSES] = [50, 3];

function tokenRows(count: number, seed: number): TokenRows {
  const folder = temporaryFolder();
  const writer = new TokenRowsWriter(folder);
  const random = new Random(seed);
  for (let row = 0; row < count; row++) {
    const ids = Array.from({ length: 1 + random.integer(6) }, () => random.integer(ROWS));
    writer.push(ids, ids.length, ids[0] % CLASSES);
  }
  writer.close();
  return new TokenRows(folder);
}

describe('a DAN run that is killed', () => {
  const [rows, dev] = [tokenRows(70, 1), tokenRows(40, 2)];
  const logits = new Random(3);
  const teacher = Float32Array.from({ length: rows.rows * CLASSES }, () => logits.normal());

  /** Trains in `folder`; `killAt` is the step in which the process would die. */
  async function attempt(
    folder: string,
    killAt = Infinity,
  ): Promise<{ result: DanRunResult; weights: Float32Array[] }> {
    const trainer = new DanTrainer({
      rows: ROWS,
      dimension: 12,
      hidden: 9,
      classes: CLASSES,
      pooling: 'mean',
      optimizer: optimizerSchema.parse({ learningRate: 0.01 }),
      dropout: 0.2,
      seed: 4,
    });
    const run: DanRun = {
      rows,
      dev,
      teacher: { classes: CLASSES, row: (row) => teacher.subarray(row * CLASSES, (row + 1) * CLASSES) },
      loss: { temperature: 2, weight: 0.7 },
      epochs: 3,
      batchSize: 10,
      learningRate: 0.01,
      schedule: scheduleSchema.parse({}),
      featureDropout: 0.2,
      folder,
      saveSeconds: 0,
      context: {
        seed: 5,
        signal: new AbortController().signal,
        progress: () => undefined,
        log: () => undefined,
        metric: (name, step) => {
          if (name === 'loss' && step === killAt) throw new Error('killed');
        },
      },
    };
    const result = await trainDan(trainer, run);
    return { result, weights: trainer.weightArrays };
  }

  it('ends as one that was not, wherever it is killed', async () => {
    const whole = await attempt(temporaryFolder());
    expect(whole.result.steps).toBe(21);
    const folder = temporaryFolder();
    // In the middle of an epoch, at its first step, and before the first checkpoint.
    for (const killAt of [1, 4, 8, 20]) await expect(attempt(folder, killAt)).rejects.toThrow('killed');
    const resumed = await attempt(folder);
    expect(resumed.weights).toEqual(whole.weights);
    expect({ ...resumed.result, seconds: 0 }).toEqual({ ...whole.result, seconds: 0 });
    expect(readdirSync(folder).filter((name) => name.startsWith('last-'))).toHaveLength(1);
  });
});
