import { Tensor } from '../graph';
import { specialise } from '../passes';
import { optimizerSchema } from '../train/optimizer';
import { classificationLoss } from '../train/testing';
import { Trainer } from '../train/trainer';
import { buildBilstm } from './bilstm';
import { insertDropout } from './dropout';
import { maxDifference, runModel, tokenBatch } from './testing';
import type { TokenBatch } from './testing';
import { buildTextCnn } from './textcnn';
import { unrollLstm } from './unroll-lstm';
import { freshWeights } from './weights';

/** The same texts with `extra` more padding positions. */
const padded = (batch: TokenBatch, extra: number): TokenBatch =>
  Object.fromEntries(
    Object.entries(batch).map(([name, rows]) => [name, rows.map((row) => [...row, ...Array<number>(extra).fill(0)])]),
  );

const batch = tokenBatch(4, 9, 50);

describe('buildBilstm', () => {
  const config = { vocabulary: 50, embedding: 6, hidden: 5, layers: 2, dense: 7, outputs: 3 };
  const build = () => buildBilstm(config, freshWeights(2, 0.4));

  it('unrolls to the same function on the same parameters', async () => {
    const { logits } = await runModel(build().model, batch);
    const unrolled = specialise(build().model, { batch: 4, sequence: 9 });
    unrollLstm(unrolled);
    expect(unrolled.graph.nodes.some((node) => node.opType === 'LSTM')).toBe(false);
    const weights = (names: readonly string[]): string[] =>
      names.filter((name) => name.startsWith('lstm.') && name.includes('weight'));
    expect(weights(unrolled.graph.initializers.map(({ name }) => name))).toEqual(
      weights(build().model.graph.initializers.map(({ name }) => name)),
    );
    expect(maxDifference((await runModel(unrolled, batch)).logits, logits)).toBeLessThan(1e-6);
    expect(new Set(logits.slice(0, 3)).size).toBe(3);
  });

  it('does not see padding', async () => {
    const { logits } = await runModel(build().model, batch);
    expect(maxDifference((await runModel(build().model, padded(batch, 5))).logits, logits)).toBeLessThan(1e-6);
  });

  it('trains unrolled, and the trained weights go into the model with the op', async () => {
    const trainer = new Trainer({
      model: build().model,
      loss: classificationLoss,
      optimizer: optimizerSchema.parse({ learningRate: 0.02 }),
      dropout: (model) => insertDropout(model, { ratio: 0.1 }),
      seed: 1,
      compile: { threads: 1 },
    });
    const int64 = (rows: readonly (readonly number[])[]) => Tensor.int64([rows.length, rows[0].length], rows.flat());
    const inputs = {
      input_ids: int64(batch.input_ids),
      attention_mask: int64(batch.attention_mask),
      labels: Tensor.int64([4], [0, 1, 2, 1]),
    };
    const losses: number[] = [];
    for (let i = 0; i < 40; i++) losses.push((await trainer.train([{ inputs }])).loss);
    expect(losses.at(-1)).toBeLessThan(0.3 * losses[0]);
    const { logits } = await runModel(trainer.exportModel(), batch);
    const predicted = [0, 1, 2, 3].map((row) => logits.slice(row * 3, row * 3 + 3));
    expect(predicted.map((scores) => scores.indexOf(Math.max(...scores)))).toEqual([0, 1, 2, 1]);
    await trainer.release();
  });

  it('needs static shapes to be unrolled', () => {
    expect(() => unrollLstm(build().model)).toThrow(expect.objectContaining({ code: 'lstm.dynamic' }));
  });
});

describe('buildTextCnn', () => {
  const config = { vocabulary: 50, embedding: 6, kernels: [2, 3, 4], filters: 5, outputs: 2 };
  const { model } = buildTextCnn(config, freshWeights(3, 0.4));

  it('does not see padding, and takes texts shorter than its widest kernel', async () => {
    const { logits } = await runModel(model, batch);
    expect(maxDifference((await runModel(model, padded(batch, 5))).logits, logits)).toBeLessThan(1e-6);
    const short = { input_ids: [[4]], attention_mask: [[1]] };
    const one = await runModel(model, short);
    expect(maxDifference((await runModel(model, padded(short, 8))).logits, one.logits)).toBeLessThan(1e-6);
    expect(Math.abs(logits[0] - logits[2])).toBeGreaterThan(1e-4);
  });
});
