import fc from 'fast-check';
import { allotShares } from './allot';
import type { Harm } from './allot';

const groups = fc.array(
  fc.record({
    units: fc.integer({ min: 1, max: 5000 }),
    tried: fc
      .tuple(fc.double({ min: 0.001, max: 2, noNaN: true }), fc.double({ min: 0, max: 2, noNaN: true }))
      .map(([low, more]): Harm['tried'] => [
        [0.25, low],
        [0.5, low + more],
      ]),
  }),
  { minLength: 1, maxLength: 6 },
);

describe('shares by harm', () => {
  it('spend the budget exactly and stay within the bounds', () => {
    fc.assert(
      fc.property(groups, fc.double({ min: 0.01, max: 0.9, noNaN: true }), (given, share) => {
        const shares = allotShares(given, share, 0.95);
        const all = given.reduce((sum, { units }) => sum + units, 0);
        const removed = given.reduce((sum, { units }, i) => sum + units * shares[i], 0);
        expect(removed / all).toBeCloseTo(share, 9);
        for (const one of shares) expect(one).toBeLessThanOrEqual(0.95 + 1e-9);
        for (const one of shares) expect(one).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('equalise the marginal harm: on parabolas the share is proportional to units over divergence', () => {
    const harmless: Harm = { units: 300, tried: [[0.5, 0.03]] };
    const harmful: Harm = { units: 100, tried: [[0.5, 0.02]] };
    // s = c n / d: 300 c (300 / 0.03) + 100 c (100 / 0.02) = 0.35 * 400.
    const c = 140 / (300 * 10_000 + 100 * 5000);
    const [first, second] = allotShares([harmless, harmful], 0.35, 0.95);
    expect(first).toBeCloseTo(10_000 * c, 1);
    expect(second).toBeCloseTo(5000 * c, 1);
  });

  it('stop before the knee that a second share shows, and pass on what a full group cannot take', () => {
    const flat: Harm = { units: 100, tried: [[0.5, 0.1]] };
    const knee: Harm = {
      units: 100,
      tried: [
        [0.25, 0.001],
        [0.5, 3],
      ],
    };
    const [first, second] = allotShares([flat, knee], 0.4, 0.95);
    expect(second).toBeGreaterThan(0.24);
    expect(second).toBeLessThan(0.28);
    expect(first + second).toBeCloseTo(0.8);
    expect(allotShares([{ ...flat, tried: [[0.5, 0]] }, flat], 0.6, 0.95)[0]).toBeCloseTo(0.95);
    expect(allotShares([{ units: 0, tried: [] }, flat], 0.6, 0.95)).toEqual([0, expect.closeTo(0.6)]);
  });
});
