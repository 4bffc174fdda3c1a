import * as fc from 'fast-check';
import { Tensor } from '../graph';
import { quantizeSymmetric, transposeBytes } from './affine';

const matrix = fc
  .record({ rows: fc.integer({ min: 1, max: 6 }), columns: fc.integer({ min: 1, max: 6 }) })
  .chain(({ rows, columns }) =>
    fc
      .array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
        minLength: rows * columns,
        maxLength: rows * columns,
      })
      .map((values) => ({ rows, columns, weights: Float32Array.from(values) })),
  );

describe('quantizeSymmetric', () => {
  it('is never off by more than half a step, whatever the axis and width', () => {
    fc.assert(
      fc.property(matrix, fc.constantFrom('rows', 'columns'), fc.integer({ min: 2, max: 8 }), (m, axis, bits) => {
        const { values, scales } = quantizeSymmetric(Tensor.float32([m.rows, m.columns], m.weights), axis, 'w', {
          bits,
        });
        const levels = 2 ** (bits - 1) - 1;
        m.weights.forEach((weight, i) => {
          const scale = scales[axis === 'rows' ? Math.floor(i / m.columns) : i % m.columns];
          expect(Math.abs(values[i])).toBeLessThanOrEqual(levels);
          // Denormal scales have few bits of their own, so the bound is absolute there.
          expect(Math.abs(weight - values[i] * scale)).toBeLessThanOrEqual(scale * (0.5 + 1e-4) + levels * 1.5e-45);
        });
      }),
    );
  });

  it('rounds ties to even and reports the relative error', () => {
    const { values, scales, relativeError } = quantizeSymmetric(
      Tensor.float32([1, 6], [127, 0.5, 1.5, 2.5, -0.5, -1.5]),
      'rows',
      'w',
    );
    expect([...scales]).toEqual([1]);
    expect([...values]).toEqual([127, 0, 2, 2, 0, -2]);
    const squares = 127 ** 2 + 0.25 + 2.25 + 6.25 + 0.25 + 2.25;
    expect(relativeError).toBeCloseTo(Math.sqrt((5 * 0.25) / squares), 12);
  });

  it('gives a channel of zeros the scale 1', () => {
    const { values, scales, relativeError } = quantizeSymmetric(Tensor.float32([2, 2], [0, 3, 0, -1]), 'columns', 'w');
    expect([...values]).toEqual([0, 127, 0, -42]);
    expect([...scales]).toEqual([1, Math.fround(3 / 127)]);
    expect(relativeError).toBeGreaterThan(0);
  });
});

it('transposes matrices of any size', () => {
  for (const [rows, columns] of [
    [1, 1],
    [3, 5],
    [64, 65],
    [130, 7],
  ]) {
    const values = Int8Array.from({ length: rows * columns }, (_, i) => i % 251);
    const turned = transposeBytes(values, rows, columns);
    for (let i = 0; i < values.length; i++) {
      expect(turned[(i % columns) * rows + Math.floor(i / columns)]).toBe(values[i]);
    }
  }
});
