import * as fc from 'fast-check';
import { AdamW, decayMatrices, optimizerSchema } from './optimizer';
import { Random } from './random';
import { ParameterSlabs } from './slabs';

/** AdamW as the paper and PyTorch write it, in double precision. */
function paperAdamw(
  state: { w: number; m: number; v: number },
  g: number,
  t: number,
  lr: number,
  { decay = 0, b1 = 0.9, b2 = 0.999, eps = 1e-8 },
): void {
  state.w *= 1 - lr * decay;
  state.m = b1 * state.m + (1 - b1) * g;
  state.v = b2 * state.v + (1 - b2) * g * g;
  state.w -= (lr * (state.m / (1 - b1 ** t))) / (Math.sqrt(state.v / (1 - b2 ** t)) + eps);
}

describe('AdamW', () => {
  it('equals the published equations over many steps, with and without decay', async () => {
    const slabs = ParameterSlabs.allocate([
      { name: 'matrix', dims: [3, 7] },
      { name: 'bias', dims: [5] },
    ]);
    const random = new Random(1);
    for (const slot of slabs.slots) slot.weight.forEach((_, i) => (slot.weight[i] = random.normal()));
    const oracle = slabs.slots.map((slot) => Array.from(slot.weight, (w) => ({ w, m: 0, v: 0 })));
    const optimizer = new AdamW(optimizerSchema.parse({ learningRate: 0.01, weightDecay: 0.1 }));
    for (let step = 1; step <= 50; step++) {
      slabs.slots.forEach((slot, s) => {
        slot.gradient.forEach((_, i) => (slot.gradient[i] = random.normal()));
        const decay = slot.name === 'matrix' ? 0.1 : 0;
        oracle[s].forEach((state, i) => paperAdamw(state, 0.5 * slot.gradient[i], step, 0.01 / step, { decay }));
      });
      await optimizer.update(slabs.slots, step, 0.01 / step, 0.5);
    }
    slabs.slots.forEach((slot, s) =>
      oracle[s].forEach(({ w, m, v }, i) => {
        expect(slot.weight[i]).toBeCloseTo(w, 5);
        expect(slot.firstMoment[i]).toBeCloseTo(m, 6);
        expect(slot.secondMoment[i]).toBeCloseTo(v, 6);
      }),
    );
  });

  it('clips by the global norm', async () => {
    const slabs = ParameterSlabs.allocate([
      { name: 'a', dims: [1] },
      { name: 'b', dims: [2] },
    ]);
    slabs.slot('a').gradient.set([2]);
    slabs.slot('b').gradient.set([3, 6]);
    const config = { learningRate: 1, clipNorm: 0.5 };
    const optimizer = new AdamW(optimizerSchema.parse(config));
    expect(await optimizer.gradientNorm(slabs.slots)).toBe(7);
    expect(optimizer.clipFactor(7)).toBeCloseTo(0.5 / 7, 6);
    expect(optimizer.clipFactor(0.1)).toBe(1);
    expect(new AdamW(optimizerSchema.parse({ ...config, clipNorm: null })).clipFactor(7)).toBe(1);
    slabs.slot('b').gradient[1] = NaN;
    expect(await optimizer.gradientNorm(slabs.slots)).toBeNaN();
  });

  it('leaves vectors and scalars without decay', () => {
    expect([[], [4], [4, 4], [2, 3, 4]].map((dims) => decayMatrices({ name: 'x', dims }, 0.1))).toEqual([
      0, 0, 0.1, 0.1,
    ]);
  });
});

describe('embedding tables', () => {
  const rowsAndIds = fc.record({
    width: fc.integer({ min: 1, max: 9 }),
    vocabulary: fc.integer({ min: 1, max: 12 }),
    decay: fc.constantFrom(0, 0.1),
    steps: fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 }),
  });
  const tables = (width: number, vocabulary: number, weightDecay: number, embeddings: 'dense' | 'lazy') =>
    [false, true].map((asRows) => {
      const slabs = ParameterSlabs.allocate([{ name: 'table', dims: [vocabulary, width] }]);
      const random = new Random(2);
      const slot = slabs.slot('table');
      slot.weight.forEach((_, i) => (slot.weight[i] = random.normal()));
      const config = optimizerSchema.parse({ learningRate: 0.1, weightDecay, embeddings });
      const optimizer = new AdamW(config);
      if (asRows) optimizer.expectRows(slot);
      return { slot, optimizer };
    });

  it('dense: rows give the same bits as a dense gradient, also after a reload in between', async () => {
    await fc.assert(
      fc.asyncProperty(rowsAndIds, fc.nat(6), async ({ width, vocabulary, decay, steps }, reloadAt) => {
        const [dense, sparse] = tables(width, vocabulary, decay, 'dense');
        const random = new Random(3);
        for (const [i, picks] of steps.entries()) {
          const ids = picks.map((pick) => pick % vocabulary);
          const rows = Float32Array.from({ length: ids.length * width }, () => random.normal());
          dense.slot.gradient.fill(0);
          ids.forEach((id, r) => {
            for (let c = 0; c < width; c++) dense.slot.gradient[id * width + c] += rows[r * width + c];
          });
          // Negative ids count from the end.
          sparse.optimizer.addRows(
            sparse.slot,
            ids.map((id) => BigInt(id % 2 ? id - vocabulary : id)),
            rows,
          );
          expect(sparse.slot.gradient).toEqual(dense.slot.gradient);
          expect(await sparse.optimizer.gradientNorm([sparse.slot])).toBeCloseTo(
            await dense.optimizer.gradientNorm([dense.slot]),
            5,
          );
          for (const { slot, optimizer } of [dense, sparse]) await optimizer.update([slot], i + 1, 0.1, 1);
          sparse.optimizer.clearRows();
          expect(sparse.slot.gradient.every((x) => x === 0)).toBe(true);
          if (i === reloadAt) sparse.optimizer.reloaded();
        }
        expect(sparse.slot.weight).toEqual(dense.slot.weight);
        expect(sparse.slot.secondMoment).toEqual(dense.slot.secondMoment);
      }),
    );
  });

  it('lazy: only the rows of the batch change, by the same equations', async () => {
    const [dense, lazy] = tables(4, 6, 0.1, 'lazy');
    const before = lazy.slot.weight.slice();
    const rows = Float32Array.from({ length: 8 }, (_, i) => i - 3);
    dense.slot.gradient.set(rows.subarray(0, 4), 8);
    dense.slot.gradient.set(rows.subarray(4), 20);
    lazy.optimizer.addRows(lazy.slot, [2, 5], rows);
    for (const { slot, optimizer } of [dense, lazy]) await optimizer.update([slot], 1, 0.1, 1);
    for (let row = 0; row < 6; row++) {
      const expected = row === 2 || row === 5 ? dense.slot.weight : before;
      expect(lazy.slot.weight.slice(row * 4, row * 4 + 4)).toEqual(expected.slice(row * 4, row * 4 + 4));
    }
  });
});
