import { Tensor } from '../graph';
import type { Model } from '../graph';
import { bagBatch, bagModel, classificationLoss } from '../train/testing';
import { optimizerSchema } from '../train/optimizer';
import { Trainer } from '../train/trainer';
import { pruneSchema } from './config';
import { reparameterize } from './reparameterize';
import type { TrainedImportance } from './config';

const config = pruneSchema.parse({}).pst;
const ROWS = 6;
const COLUMNS = 8;
const MASK = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => (i % 3 === 0 ? 0 : 1));

/** Gradients of one batch by parameter: Adam's first moment after one step is a tenth of them. */
async function gradients(model: Model, mask?: Float32Array): Promise<Record<string, number[]>> {
  const trainer = new Trainer({
    model,
    loss: classificationLoss,
    optimizer: optimizerSchema.parse({ learningRate: 0.01, clipNorm: null }),
    seed: 1,
    compile: { threads: 1 },
  });
  const batch = bagBatch(1);
  const fed = mask && { 'W1.mask': { dtype: 'float32' as const, dims: [ROWS, COLUMNS], data: mask } };
  await trainer.train([{ inputs: { ...batch.inputs, ...fed } }]);
  const found = trainer.slabs.slots.map(({ name, firstMoment }) => [name, Array.from(firstMoment, (m) => 10 * m)]);
  await trainer.release();
  return Object.fromEntries(found) as Record<string, number[]>;
}

const weightsOf = (model: Model): Float32Array => model.graph.value('W1').constant!.data as Float32Array;

/** The bag model with W1 = mask * W, and its gradient there: what the masked model computes with. */
async function maskedGradient(): Promise<number[]> {
  const model = bagModel();
  const value = model.graph.value('W1');
  value.constant = Tensor.float32(
    [ROWS, COLUMNS],
    weightsOf(model).map((w, i) => w * MASK[i]),
  );
  return (await gradients(model))['W1'];
}

function scored(importance: TrainedImportance): Model {
  const model = bagModel();
  const [{ maskInput }] = reparameterize(model, [{ component: 'W_I', layer: 0, weight: 'W1' }], importance, config, 1);
  expect(maskInput).toBe('W1.mask');
  return model;
}

const expectClose = (found: readonly number[], expected: readonly number[]): void => {
  expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1e-3);
  expect(Math.max(...expected.map((value, i) => Math.abs(value - found[i])))).toBeLessThan(1e-6);
};

// Sanh et al. 2020, eq. 4: dL/dS = dL/dW' * W through the mask, for kept and for pruned weights.
it('movement: a score falls with dL/dW * W, and pruned weights get no gradient', async () => {
  const expected = await maskedGradient();
  const weights = weightsOf(bagModel());
  const found = await gradients(scored('movement'), MASK);
  expectClose(
    found['W1.score'],
    expected.map((gradient, i) => gradient * weights[i]),
  );
  expectClose(
    found['W1'],
    expected.map((gradient, i) => gradient * MASK[i]),
  );
});

// Li et al. 2022, eq. 5 to 8: S = |W'| + a1 A B + a2 (R + C), W' = W + U V, straight through to every term.
it('pst: rows and columns get the sums of dL/dS, which is dL/dW * W', async () => {
  const expected = await maskedGradient();
  const weights = weightsOf(bagModel());
  const found = await gradients(scored('pst'), MASK);
  const scores = expected.map((gradient, i) => gradient * weights[i]);
  const sum = (pick: (row: number, column: number) => boolean): number =>
    scores.reduce((total, value, i) => (pick(Math.floor(i / COLUMNS), i % COLUMNS) ? total + value : total), 0);
  expectClose(
    found['W1.pst_r'],
    Array.from({ length: ROWS }, (_, k) => sum((row) => row === k)),
  );
  expectClose(
    found['W1.pst_c'],
    Array.from({ length: COLUMNS }, (_, k) => sum((_row, column) => column === k)),
  );
});
