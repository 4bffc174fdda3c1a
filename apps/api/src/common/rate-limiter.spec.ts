import * as fc from 'fast-check';
import { RateLimiter } from './rate-limiter';

describe('RateLimiter', () => {
  it('lets a burst through, then the rate, and says how long to wait', () => {
    let now = 0;
    const limiter = new RateLimiter({ perSecond: 2, burst: 3 }, () => now);
    expect([1, 2, 3].map(() => limiter.take('a'))).toEqual([0, 0, 0]);
    expect(limiter.take('a')).toBeCloseTo(0.5);
    expect(limiter.take('b')).toBe(0);
    now = 500;
    expect([limiter.take('a'), limiter.take('a') > 0]).toEqual([0, true]);
  });

  it('never lets more through than burst and rate allow', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(400), { maxLength: 200 }), (pauses) => {
        let now = 0;
        const limiter = new RateLimiter({ perSecond: 5, burst: 4 }, () => now);
        let passed = 0;
        for (const pause of pauses) {
          now += pause;
          if (limiter.take('a') === 0) passed += 1;
        }
        expect(passed).toBeLessThanOrEqual(4 + (5 * now) / 1000 + 1e-6);
      }),
    );
  });

  it('forgets keys that have not come for long', () => {
    let now = 0;
    const limiter = new RateLimiter({ perSecond: 1, burst: 1 }, () => now);
    for (let i = 0; i < 10_000; i++) limiter.take(`k${i}`);
    now = 5000;
    limiter.take('new');
    expect(limiter.size).toBe(1);
  });
});
