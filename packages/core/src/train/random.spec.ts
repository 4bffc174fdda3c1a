import * as fc from 'fast-check';
import { Random, streamKey } from './random';

describe('Random', () => {
  it('gives the published first outputs of xoshiro128** from state 1, 2, 3, 4', () => {
    const random = new Random([1, 2, 3, 4]);
    expect([1, 2, 3, 4].map(() => random.uint32())).toEqual([11520, 0, 5927040, 70819200]);
  });

  it('repeats from a seed and continues from a saved state', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(50), (seed, skip) => {
        const [a, b] = [new Random(seed), new Random(seed)];
        for (let i = 0; i < skip; i++) expect(a.uniform()).toBe(b.uniform());
        const c = new Random(JSON.parse(JSON.stringify(a.save())));
        expect(Array.from({ length: 20 }, () => c.normal())).toEqual(Array.from({ length: 20 }, () => b.normal()));
      }),
    );
  });

  it('gives different streams for seeds that differ in any 32-bit half', () => {
    const first = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 52].map((seed) => new Random(seed).uint32());
    expect(new Set(first).size).toBe(first.length);
  });

  it('draws integers evenly and within bounds', () => {
    const random = new Random(3);
    const counts = Array.from({ length: 7 }, () => 0);
    for (let i = 0; i < 70_000; i++) counts[random.integer(7)]++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(5 * Math.sqrt(10_000));
    expect(() => random.integer(0)).toThrow(RangeError);
  });

  it('has the moments of uniform and normal draws', () => {
    const random = new Random(5);
    const n = 100_000;
    const normal = Array.from({ length: n }, () => random.normal());
    const mean = normal.reduce((sum, x) => sum + x, 0) / n;
    const variance = normal.reduce((sum, x) => sum + x * x, 0) / n;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  });

  it('permutes: every index once, every position reached', () => {
    const random = new Random(9);
    const firsts = new Set<number>();
    for (let i = 0; i < 300; i++) {
      const order = random.permutation(10);
      expect([...order].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      firsts.add(order[0]);
    }
    expect(firsts.size).toBe(10);
  });
});

describe('streamKey', () => {
  it('separates neighbouring words and their order', () => {
    const keys = new Set<string>();
    for (let step = 0; step < 200; step++)
      for (let site = 0; site < 20; site++) keys.add(streamKey(1, step, site).join());
    expect(keys.size).toBe(4000);
    expect(streamKey(1, 2)).not.toEqual(streamKey(2, 1));
  });
});
