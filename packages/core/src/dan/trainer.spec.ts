import { optimizerSchema } from '../train/optimizer';
import { Random } from '../train/random';
import type { DanTargets } from './loss';
import { referenceLoss } from './reference';
import type { NgramBatch } from './table';
import { DanTrainer } from './trainer';

const SIZES = { dimension: 11, hidden: 13, classes: 3 };
const ROWS = 40;

function randomBatch(seed: number, texts = 300): { batch: NgramBatch; targets: DanTargets } {
  const random = new Random(seed);
  const lists = Array.from({ length: texts }, (_, text) =>
    // Distinct ids: with a repeated row the maximum has no unique gradient.
    text % 7 === 3 ? [] : [...random.permutation(ROWS)].slice(0, 1 + random.integer(6)),
  );
  const offsets = new Int32Array(texts + 1);
  lists.forEach((ids, text) => (offsets[text + 1] = offsets[text] + ids.length));
  const teacher = Float32Array.from({ length: texts * SIZES.classes }, () => 2 * random.normal());
  const labels = Int32Array.from({ length: texts }, (_, text) => (text % 5 === 0 ? -1 : random.integer(3)));
  return { batch: { texts, offsets, ids: Uint32Array.from(lists.flat()) }, targets: { teacher, labels } };
}

const POOLINGS = ['mean', 'sum', 'max', 'attentive'] as const;

const trainer = (
  pooling: (typeof POOLINGS)[number],
  options: { shardBytes?: number; beta1?: number } = {},
): DanTrainer =>
  new DanTrainer({
    rows: ROWS,
    ...SIZES,
    pooling,
    optimizer: optimizerSchema.parse({ learningRate: 0.01, beta1: options.beta1 ?? 0, weightDecay: 0 }),
    dropout: 0,
    seed: 3,
    ...(options.shardBytes ? { shardBytes: options.shardBytes } : {}),
  });

describe('DanTrainer', () => {
  it.each(POOLINGS)('%s pooling: gradients are the slopes of the loss', (pooling) => {
    const { batch, targets } = randomBatch(1);
    const options = { temperature: 2, weight: 0.6 };
    const model = trainer(pooling);
    const random = new Random(8);
    model.attention?.query.forEach((_, i, query) => (query[i] = i < SIZES.dimension ? 3 * random.normal() : 0));
    const before = model.weights();
    const at = (weights: typeof before): number => referenceLoss(weights, SIZES, pooling, batch, targets, options);
    // With beta1 = 0 the first moment after a step is the gradient.
    expect(model.train(batch, targets, options, 0)).toBeCloseTo(at(before), 5);
    const moments = model.table.state[1];
    const gradients = {
      rows: Float32Array.from(before.rows, (_, i) => {
        return moments[Math.floor(i / SIZES.dimension) * 16 + (i % SIZES.dimension)];
      }),
      w1: Float32Array.from(
        before.w1,
        (_, i) => model.dense.gradient('w1')[Math.floor(i / SIZES.hidden) * 16 + (i % SIZES.hidden)],
      ),
      b1: model.dense.gradient('b1'),
      w2: Float32Array.from(before.w2, (_, i) => model.dense.gradient('w2')[Math.floor(i / 3) * 8 + (i % 3)]),
      b2: model.dense.gradient('b2'),
      attention: model.attention?.state[1],
    };
    const names = ['rows', 'w1', 'b1', 'w2', 'b2', ...(model.attention ? (['attention'] as const) : [])] as const;
    for (const name of names) {
      for (let check = 0; check < 20; check++) {
        const i = random.integer(before[name]!.length);
        const moved = (by: number): { loss: number; value: number } => {
          const values = before[name]!.slice();
          values[i] += by;
          return { loss: at({ ...before, [name]: values }), value: values[i] };
        };
        const [up, down] = [moved(2e-4), moved(-2e-4)];
        const slope = (up.loss - down.loss) / (up.value - down.value);

        expect(Math.abs(gradients[name]![i] - slope)).toBeLessThan(0.02 * Math.abs(slope) + 3e-6);
      }
    }
    expect(gradients.rows.some((g) => Math.abs(g) > 1e-4)).toBe(true);
  });

  it.each(POOLINGS)('%s pooling: a table in many memories trains like one in one', (pooling) => {
    const [one, many] = [trainer(pooling, { beta1: 0.9 }), trainer(pooling, { beta1: 0.9, shardBytes: 12 * 16 * 7 })];
    expect(many.table.weights).toHaveLength(6);
    for (let step = 0; step < 5; step++) {
      const { batch, targets } = randomBatch(step, 50);
      const losses = [one, many].map((model) => model.train(batch, targets, { temperature: 1, weight: 0.5 }, 0.01));
      expect(losses[1]).toBeCloseTo(losses[0], 5);
    }
    const [a, b] = [one.weights(), many.weights()];
    a.rows.forEach((value, i) => expect(b.rows[i]).toBeCloseTo(value, 4));
  });

  it('leaves rows alone that no text has', () => {
    const model = trainer('mean');
    const before = model.weights().rows;
    const batch = { texts: 1, offsets: Int32Array.of(0, 2), ids: Uint32Array.of(5, 9) };
    model.train(batch, { labels: Int32Array.of(1) }, { temperature: 1, weight: 1 }, 0.1);
    const after = model.weights().rows;
    const changed = new Set<number>();
    after.forEach((value, i) => value !== before[i] && changed.add(Math.floor(i / SIZES.dimension)));
    expect([...changed]).toEqual([5, 9]);
  });

  it('learns', () => {
    const model = trainer('mean', { beta1: 0.9 });
    const { batch, targets } = randomBatch(2, 60);
    const losses = Array.from({ length: 200 }, () =>
      model.train(batch, { labels: targets.labels }, { temperature: 1, weight: 0 }, 0.01),
    );
    expect(losses[199]).toBeLessThan(0.5 * losses[0]);
  });
});
