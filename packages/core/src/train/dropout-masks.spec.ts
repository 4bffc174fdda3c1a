import { DropoutMasks } from './dropout-masks';

describe('DropoutMasks', () => {
  const sites = [
    { input: 'a', dims: [7, 9], ratio: 0.25 },
    { input: 'b', dims: [64, 64], ratio: 0.5 },
    { input: 'c', dims: [64, 64], ratio: 0.5 },
  ];
  const drawn = async (seed: number, step: number, microBatch: number): Promise<Record<string, number[]>> => {
    const masks = new DropoutMasks(sites, seed);
    await masks.fill(step, microBatch);
    return Object.fromEntries(Object.entries(masks.feeds).map(([name, { data }]) => [name, Array.from(data, Number)]));
  };

  it('is 0 or 1 / (1 - ratio), with mean 1', async () => {
    const { a, b } = await drawn(1, 1, 0);
    expect(new Set(a)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    expect(new Set(b)).toEqual(new Set([0, 2]));
    // Five standard errors of a mean of 4096 draws of variance 1.
    expect(Math.abs(b.reduce((sum, x) => sum + x, 0) / b.length - 1)).toBeLessThan(5 / 64);
  });

  it('repeats for equal seed, step and micro-batch, and differs in each of them and between sites', async () => {
    const { b, c, ...rest } = await drawn(1, 2, 0);
    expect(await drawn(1, 2, 0)).toEqual({ b, c, ...rest });
    const others = await Promise.all([drawn(2, 2, 0), drawn(1 + 2 ** 32, 2, 0), drawn(1, 3, 0), drawn(1, 2, 1)]);
    for (const other of others) expect(other.b).not.toEqual(b);
    expect(b).not.toEqual(c);
  });

  it('works without any site', async () => {
    const masks = new DropoutMasks([], 1);
    await masks.fill(1, 0);
    expect(masks.feeds).toEqual({});
  });
});
