import * as fc from 'fast-check';
import { formatBytes, formatChange, formatContext, formatNumber, formatSeconds, formatValue } from './format';

describe('format', () => {
  it.each([
    [0, '0'],
    [0.012345, '0.0123'],
    [4.5678, '4.57'],
    [1234.5, '1235'],
    [-0.5, '-0.5'],
    [2e-7, '2.00e-7'],
  ])('writes %p as %p', (value, text) => expect(formatNumber(value)).toBe(text));

  it('keeps three significant digits of any figure', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-4, max: 1e14, noNaN: true }), (value) => {
        expect(Math.abs(Number(formatNumber(value)) / value - 1)).toBeLessThan(0.0051);
      }),
    );
  });

  it('writes units', () => {
    expect(formatBytes(437_951_328)).toBe('438 MB');
    expect(formatBytes(999_999)).toBe('1 MB');
    expect(formatValue(22.5e9, 'flops')).toBe('22.5 GFLOPs');
    expect(formatValue(0.92625, 'ratio')).toBe('92.63 %');
    expect(formatValue(2.5, 'times')).toBe('2.50×');
    expect(formatValue(110_000_000, 'count')).toBe('110 M');
    expect(formatSeconds(59.6)).toBe('59.6 s');
    expect(formatSeconds(3725)).toBe('1 h 2 min');
  });

  it('names conditions in one order, however they are kept', () => {
    expect(formatContext({ by: 'estimate', threads: 2, sequence: 32, batch: 8 })).toBe(
      'batch 8, sequence 32, threads 2, by estimate',
    );
    expect(formatContext({ rows: 300, split: 'test' })).toBe('test split, rows 300');
  });

  it('writes changes with their sign', () => {
    expect(formatChange(0.9, 0.88, 'ratio')).toBe('−2.00 points');
    expect(formatChange(100, 150, 'ms')).toBe('+50.0 %');
    expect(formatChange(3, 3, 'ms')).toBe('±0.0 %');
  });
});
