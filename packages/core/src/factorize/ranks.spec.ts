import { fixedRanks, ranksByEnergy, ranksWithin } from './ranks';
import type { Spectrum } from './ranks';

/** A 40 x 40 matrix whose k-th squared singular value is decay^k; breaks even below rank 20. */
const square = (decay: number): Spectrum => ({
  rows: 40,
  columns: 40,
  energies: Float64Array.from({ length: 40 }, (_, k) => decay ** k),
});
const limits = { minimum: 1, multipleOf: 1 };

describe('ranks', () => {
  it('are whole where two thin matrices save nothing', () => {
    expect(fixedRanks([square(0.5), { rows: 2, columns: 2 }, { rows: 100, columns: 10 }], 9)).toEqual([
      9,
      undefined,
      9,
    ]);
    expect(fixedRanks([square(0.5)], 20)).toEqual([undefined]);
  });

  it('by energy are the smallest that keep the share', () => {
    // 1 - 0.5^k of the energy is in the first k.
    expect(ranksByEnergy([square(0.5), square(0.999)], 0.95, limits)).toEqual([5, undefined]);
    expect(ranksByEnergy([square(0.5)], 0.95, { minimum: 1, multipleOf: 4 })).toEqual([8]);
    expect(ranksByEnergy([square(0.5)], 0.5, { minimum: 6, multipleOf: 1 })).toEqual([6]);
  });

  it('within a budget go to the matrix that needs them, and spend it', () => {
    const matrices = [square(0.5), square(0.95)];
    const [quick, slow] = ranksWithin(matrices, 20 * 80, limits);
    expect(quick! + slow!).toBe(20);
    expect(slow).toBeGreaterThan(quick!);
    // The last ranks of both are worth about the same: moving one would not help.
    const root = Math.sqrt;
    const share = (decay: number, k: number): number =>
      (root(decay) ** k * (1 - root(decay))) / (1 - root(decay) ** 40);
    expect(share(0.95, slow! - 1)).toBeGreaterThanOrEqual(share(0.5, quick!));
    expect(share(0.5, quick! - 1)).toBeGreaterThanOrEqual(share(0.95, slow!));
  });

  it('within a budget do not depend on the scale of a matrix, nor starve a large one', () => {
    const wide: Spectrum = { rows: 40, columns: 160, energies: square(0.9).energies.map((energy) => 1e6 * energy) };
    const [narrow, large] = ranksWithin([square(0.9), wide], 8 * 80 + 8 * 200, limits);
    expect([narrow, large]).toEqual([8, 8]);
  });

  it('within a budget go where the known harm is, until what is left to spare there is worth no more', () => {
    const [harmless, harmful] = ranksWithin(
      [
        { ...square(0.8), harm: 0.01 },
        { ...square(0.8), harm: 1 },
      ],
      20 * 80,
      limits,
    );
    expect(harmless! + harmful!).toBe(20);
    // 0.8^k of the energy is lost at rank k: equal marginal harm is log(100) / log(1 / 0.8) = 20.6 ranks apart.
    expect([harmless, harmful]).toEqual([1, 19]);
    const [a, b] = ranksWithin(
      [
        { ...square(0.5), harm: 1 },
        { ...square(0.5), harm: 16 },
      ],
      20 * 80,
      limits,
    );
    expect(b! - a!).toBe(4);
  });

  it('within a budget make a matrix whole where that fits, and never spend more', () => {
    expect(ranksWithin([square(0.9)], 1600, limits)).toEqual([undefined]);
    expect(ranksWithin([square(0.9)], 1599, limits)).toEqual([19]);
    expect(ranksWithin([square(0.9)], 1599, { minimum: 3, multipleOf: 8 })).toEqual([16]);
    expect(() => ranksWithin([square(0.9), square(0.9)], 3 * 80, { minimum: 2, multipleOf: 1 })).toThrow(
      'cannot have 240 parameters together: at the minimum rank of 2 they have 320',
    );
  });
});
