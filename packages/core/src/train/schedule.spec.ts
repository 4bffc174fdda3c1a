import * as fc from 'fast-check';
import { scheduleFactor, scheduleSchema, warmupSteps } from './schedule';

describe('scheduleFactor', () => {
  const factors = (config: object, steps: number): number[] =>
    Array.from({ length: steps }, (_, i) => scheduleFactor(scheduleSchema.parse(config), i + 1, steps));

  it('rises linearly, then falls to the end', () => {
    expect(factors({ warmup: { steps: 2 } }, 6)).toEqual([0, 0.5, 1, 0.75, 0.5, 0.25]);
    expect(factors({ shape: 'constant', warmup: { ratio: 0.5 } }, 4)).toEqual([0, 0.5, 1, 1]);
    expect(factors({ shape: 'linear', warmup: { steps: 0 }, end: 0.5 }, 2)).toEqual([1, 0.75]);
    const cosine = factors({ shape: 'cosine', warmup: { steps: 0 } }, 4);
    [1, 0.5 + Math.SQRT1_2 / 2, 0.5, 0.5 - Math.SQRT1_2 / 2].forEach((x, i) => expect(cosine[i]).toBeCloseTo(x, 12));
  });

  it('rounds a warm-up ratio up', () => {
    expect(warmupSteps(scheduleSchema.parse({ warmup: { ratio: 0.1 } }), 11)).toBe(2);
  });

  it('stays within 0..1, never rises after the warm-up, and holds the end beyond the last step', () => {
    const config = fc.record({
      shape: fc.constantFrom('constant', 'linear', 'cosine'),
      warmup: fc.oneof(
        fc.record({ ratio: fc.double({ min: 0, max: 1, noNaN: true }) }),
        fc.record({ steps: fc.nat(30) }),
      ),
      end: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(config, fc.integer({ min: 1, max: 60 }), (raw, total) => {
        const parsed = scheduleSchema.parse(raw);
        const warmup = warmupSteps(parsed, total);
        const factors = Array.from({ length: total + 5 }, (_, i) => scheduleFactor(parsed, i + 1, total));
        expect(factors.every((factor) => factor >= 0 && factor <= 1)).toBe(true);
        const falling = factors.slice(warmup);
        expect(falling.every((factor, i) => i === 0 || factor <= falling[i - 1] + 1e-12)).toBe(true);
      }),
    );
  });
});
