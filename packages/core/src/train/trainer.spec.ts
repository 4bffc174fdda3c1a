import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildTransformer, freshWeights, insertDropout, transformerConfig } from '../models';
import { ortRuntime } from '../runtime';
import { optimizerSchema } from './optimizer';
import { bagBatch, bagModel, classificationLoss } from './testing';
import { Trainer } from './trainer';
import type { BackwardResult } from './program';
import type { TrainerOptions, TrainingBatch } from './trainer';

const make = (options: Partial<TrainerOptions> = {}): Trainer =>
  new Trainer({
    model: bagModel(),
    loss: classificationLoss,
    optimizer: optimizerSchema.parse({ learningRate: 0.01 }),
    seed: 1,
    compile: { threads: 1 },
    ...options,
  });

const weights = (trainer: Trainer): Record<string, number[]> =>
  Object.fromEntries(trainer.slabs.slots.map(({ name, weight }) => [name, [...weight]]));

const stack = (batches: readonly TrainingBatch[]): TrainingBatch => ({
  inputs: Object.fromEntries(
    Object.entries(batches[0].inputs).map(([name, { dtype, dims }]) => {
      const data = BigInt64Array.from(batches.flatMap(({ inputs }) => [...(inputs[name].data as BigInt64Array)]));
      return [name, { dtype, dims: [dims[0] * batches.length, ...dims.slice(1)], data }];
    }),
  ),
});

const expectClose = (a: readonly number[], b: readonly number[], tolerance: number): void => {
  expect(a).toHaveLength(b.length);
  expect(Math.max(...a.map((x, i) => Math.abs(x - b[i])))).toBeLessThan(tolerance);
};

describe('Trainer', () => {
  it('lowers the loss, and forward and the exported model give the same outputs', async () => {
    const trainer = make();
    const batch = bagBatch(1);
    const first = await trainer.train([batch]);
    expect(first).toMatchObject({ step: 1, learningRate: 0.01 });
    let last = first;
    for (let i = 0; i < 60; i++) last = await trainer.train([batch]);
    expect(last.loss).toBeLessThan(0.2 * first.loss);
    const { ids } = batch.inputs;
    const { logits } = await trainer.forward({ ids });
    const exported = await ortRuntime.compile(trainer.exportModel(), { threads: 1 });
    expect((await exported.run({ ids })).logits).toEqual(logits);
    await exported.release();
    await trainer.release();
  });

  it('accumulates: the mean gradient of micro-batches is that of one large batch, tables included', async () => {
    const batches = [1, 2, 3].map((seed) => bagBatch(seed));
    const [one, many] = [make(), make()];
    const whole = await one.train([stack(batches)]);
    const parts = await many.train(batches);
    expect(parts.loss).toBeCloseTo(whole.loss, 5);
    expect(parts.gradientNorm).toBeCloseTo(whole.gradientNorm, 5);
    for (const { name, firstMoment } of one.slabs.slots) {
      expectClose([...many.parameter(name).firstMoment], [...firstMoment], 1e-6);
    }
    await Promise.all([one.release(), many.release()]);
  });

  it('keeps one program per shape and gives the same result for one batch in any of them', async () => {
    const trainer = make();
    for (const rows of [2, 4, 2, 3, 4]) await trainer.train([bagBatch(rows, rows)]);
    for (let rows = 1; rows < 24; rows++) await trainer.train([bagBatch(rows, rows)]);
    expect(trainer.step).toBe(28);
    await trainer.release();
  });

  it('masks hold through updates, also after a checkpoint, until lifted', async () => {
    const trainer = make();
    const mask = Uint8Array.from({ length: 48 }, (_, i) => i % 2);
    trainer.setMask('W1', mask);
    const pruned = (): number[] => [...trainer.parameter('W1').weight].filter((_, i) => mask[i] === 0);
    expect(pruned().every((x) => x === 0)).toBe(true);
    await trainer.train([bagBatch(1)]);
    expect(pruned().every((x) => x === 0)).toBe(true);
    trainer.setMask('W1', null);
    await trainer.train([bagBatch(1)]);
    expect(pruned().some((x) => x !== 0)).toBe(true);
    await trainer.release();
  });

  it('averages the weights over the steps, without a trace in the training itself', async () => {
    const [averaging, plain] = [make({ averageDecay: 0.75 }), make()];
    const expected = averaging.parameter('W2').weight.slice();
    for (const seed of [1, 2, 3]) {
      await averaging.train([bagBatch(seed)]);
      await plain.train([bagBatch(seed)]);
      const { weight } = plain.parameter('W2');
      expected.forEach((x, i) => (expected[i] = 0.75 * x + 0.25 * weight[i]));
    }
    const averaged = await averaging.withAverage(async () => [...averaging.parameter('W2').weight]);
    expectClose(averaged, [...expected], 1e-6);
    expect(weights(averaging)).toEqual(weights(plain));
    expect(await plain.withAverage(async () => weights(plain))).toEqual(weights(plain));
    averaging.adoptAverage();
    expect([...averaging.parameter('W2').weight]).toEqual(averaged);
    await Promise.all([averaging.release(), plain.release()]);
  });

  it('hands activations, gates and gradients to the hooks, before and after the update', async () => {
    const seen: string[] = [];
    let backward: BackwardResult | undefined;
    const trainer: Trainer = make({
      activations: ['hidden'],
      gates: [{ value: 'hidden', axis: 1 }],
      hooks: {
        afterBackward: (result) => {
          backward = result;
          seen.push('backward');
        },
        afterGradients: (step, scale) => {
          expect(step).toBe(1);
          expect(scale).toBeLessThanOrEqual(0.5);
          seen.push('gradients');
        },
        afterUpdate: () => seen.push('update'),
      },
    });
    await trainer.train([bagBatch(1), bagBatch(2)]);
    expect(seen).toEqual(['backward', 'backward', 'gradients', 'update']);
    const { value, gradient } = backward!.activations.get('hidden')!;
    expect(value.dims).toEqual([4, 8]);
    // The gradient of a gate of ones is the sum over rows of activation x gradient.
    const expected = Array.from({ length: 8 }, (_, column) =>
      [0, 1, 2, 3].reduce((sum, row) => {
        const at = row * 8 + column;
        return sum + Number(value.data[at]) * Number(gradient.data[at]);
      }, 0),
    );
    expectClose(Array.from(backward!.gates.get('hidden')!.data, Number), expected, 1e-6);
    await trainer.release();
  });

  it('trains only what it is told to, and not what the loss does not see', async () => {
    const model = bagModel();
    const trainer = make({ model, parameters: ['W2', 'b1'] });
    const before = weights(trainer);
    await trainer.train([bagBatch(1)]);
    expect(weights(trainer)).not.toEqual(before);
    expect(trainer.slabs.has('table')).toBe(false);
    const exported = trainer.exportModel().graph;
    expect(exported.value('table').constant).toBe(model.graph.value('table').constant);
    expect(exported.value('W2').constant).not.toEqual(model.graph.value('W2').constant);
    await trainer.release();

    const partial = make({
      loss: (build, outputs) =>
        build.op('ReduceSum', [build.op('Mul', [outputs.get('logits')!, build.scalar(0)])], { keepdims: 0 }),
    });
    await partial.train([{ inputs: { ids: bagBatch(1).inputs.ids } }]);
    await partial.release();
  });

  it('stops at a loss or gradient that is not finite and leaves the weights as they were', async () => {
    const trainer = make();
    await trainer.train([bagBatch(1)]);
    const before = weights(trainer);
    trainer.parameter('b1').weight[0] = NaN;
    await expect(trainer.train([bagBatch(1)])).rejects.toMatchObject({
      code: 'train.not-finite',
      details: { step: 2 },
    });
    trainer.parameter('b1').weight[0] = before.b1[0];
    expect(weights(trainer)).toEqual(before);
    expect(trainer.step).toBe(1);
    await trainer.train([bagBatch(1)]);
    await trainer.release();
    const model = bagModel();
    (model.graph.value('W1').constant!.data as Float32Array)[7] = Infinity;
    expect(() => make({ model })).toThrow(
      expect.objectContaining({ code: 'train.not-finite', details: { field: 'W1' } }),
    );
    expect(() => make({ parameters: ['ids'] })).toThrow(expect.objectContaining({ code: 'train.parameter' }));
    await expect(make().train([])).rejects.toMatchObject({ code: 'train.no-data' });
  });
});

describe('Trainer on a BERT with dropout', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trainer-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const config = transformerConfig('bert', { layers: 2, hidden: 16, heads: 2, vocabulary: 1200, maxLength: 16 });
  const { model } = buildTransformer(config, { task: 'classification', labels: 3 }, freshWeights(3, 0.1));
  const bert = (seed = 5): Trainer =>
    make({
      model,
      seed,
      averageDecay: 0.9,
      dropout: (special) => insertDropout(special, { ratio: 0.1 }),
      compile: { threads: 2 },
    });

  const batch = (seed: number, sequence: number): TrainingBatch => {
    const { ids, labels } = bagBatch(seed, 4, sequence).inputs;
    const zeros = { ...ids, data: new BigInt64Array(4 * sequence) };
    const mask = {
      ...ids,
      data: new BigInt64Array(4 * sequence).map((_, i) => (i % sequence < sequence - 1 ? 1n : 0n)),
    };
    return { inputs: { input_ids: ids, attention_mask: mask, token_type_ids: zeros, labels } };
  };
  const losses = async (trainer: Trainer, from: number, to: number): Promise<number[]> => {
    const curve: number[] = [];
    for (let i = from; i < to; i++) curve.push((await trainer.train([batch(i, 4 + (i % 3)), batch(i + 50, 5)])).loss);
    return curve;
  };

  it('repeats bit for bit with one seed and not with another', async () => {
    const [a, b, c] = [bert(), bert(), bert(6)];
    const curves = [await losses(a, 0, 6), await losses(b, 0, 6), await losses(c, 0, 6)];
    expect(curves[1]).toEqual(curves[0]);
    expect(weights(b)).toEqual(weights(a));
    expect(curves[2]).not.toEqual(curves[0]);
    for (const trainer of [a, b, c]) await trainer.release();
  });

  it('continues the same curve from a checkpoint, masks included, and refuses one of another seed', async () => {
    const mask = Uint8Array.from({ length: 256 }, (_, i) => Number(i % 3 > 0));
    const name = 'bert.encoder.layer.0.attention.self.query.weight';
    const whole = bert();
    whole.setMask(name, mask);
    const curve = await losses(whole, 0, 8);
    const first = bert();
    first.setMask(name, mask);
    await losses(first, 0, 4);
    const path = join(folder, 'last.ckpt');
    await first.save(path, { batch: 4 });
    const second = bert();
    expect(await second.load(path)).toEqual({ batch: 4 });
    expect(second.step).toBe(4);
    expect(await losses(second, 4, 8)).toEqual(curve.slice(4));
    expect(weights(second)).toEqual(weights(whole));
    expect(second.parameter(name).average).toEqual(whole.parameter(name).average);
    const other = bert(6);
    await expect(other.load(path)).rejects.toMatchObject({ code: 'checkpoint.mismatch' });
    for (const trainer of [whole, first, second, other]) await trainer.release();
  });
});
