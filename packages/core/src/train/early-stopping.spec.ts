import { EarlyStopping } from './early-stopping';

describe('EarlyStopping', () => {
  it('keeps the best and stops after `patience` evaluations without a better one', () => {
    const stopping = new EarlyStopping({ mode: 'max', patience: 2 });
    expect([0.5, 0.7, 0.7].map((score, i) => stopping.record(score, i + 1))).toEqual([true, true, false]);
    expect(stopping.exhausted).toBe(false);
    expect(stopping.record(0.6, 4)).toBe(false);
    expect(stopping).toMatchObject({ exhausted: true, best: 0.7, bestStep: 2 });
  });

  it('minimises, ignores changes up to minDelta and NaN', () => {
    const stopping = new EarlyStopping({ mode: 'min', minDelta: 0.1, patience: 5 });
    expect([NaN, 1, 0.95, NaN, 0.8].map((score, i) => stopping.record(score, i))).toEqual([
      false,
      true,
      false,
      false,
      true,
    ]);
    expect(stopping.best).toBe(0.8);
  });

  it('continues from a saved state', () => {
    const first = new EarlyStopping({ mode: 'max', patience: 2 });
    first.record(3, 1);
    first.record(2, 2);
    const second = new EarlyStopping({ mode: 'max', patience: 2 }, JSON.parse(JSON.stringify(first.save())));
    expect(second.record(2.5, 3)).toBe(false);
    expect(second).toMatchObject({ exhausted: true, best: 3, bestStep: 1 });
  });
});
