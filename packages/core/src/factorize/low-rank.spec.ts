import { Random } from '../train/random';
import { cholesky, timesTransposedLower, solveTransposedLower } from './cholesky';
import { eigenSymmetric } from './eigen';
import { tridiagonalVectors } from './tridiagonal-vectors';
import { biasShift, breakEvenRank, decompose, keptEnergy, lowRank, multiplied } from './low-rank';
import type { Matrix, SecondMoment } from './low-rank';

const random = new Random(3);
const noise = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
const matrix = (rows: number, columns: number): Matrix => ({ rows, columns, data: noise(rows * columns) });

/** x [n, inner] y [inner, m] in float64. */
function product(x: ArrayLike<number>, y: ArrayLike<number>, n: number, inner: number, m: number): Float64Array {
  const result = new Float64Array(n * m);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < m; j++) for (let k = 0; k < inner; k++) result[i * m + j] += x[i * inner + k] * y[k * m + j];
  return result;
}

const squared = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, x) => sum + x * x, 0);
const difference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  squared(Array.from(a, (value, i) => value - b[i]));

/** E[v' v] of the rows of v [n, width]. */
function momentOf(v: ArrayLike<number>, n: number, width: number): Float64Array {
  const turned = Float64Array.from({ length: n * width }, (_, at) => v[(at % n) * width + Math.floor(at / n)]);
  return product(turned, v, width, n, width);
}

describe('eigenSymmetric', () => {
  it('knows the eigenvalues of the second difference matrix', () => {
    const n = 40;
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      a[i * n + i] = 2;
      if (i > 0) a[i * n + i - 1] = -1;
    }
    const expected = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos(((n - k) * Math.PI) / (n + 1)));
    const { values } = eigenSymmetric(a, n);
    values.forEach((value, k) => expect(value).toBeCloseTo(expected[k], 12));
  });

  it.each([1, 2, 3, 17, 64])('takes a random matrix of %i apart and puts it together again', (n) => {
    const half = noise(n * n);
    const a = Float64Array.from({ length: n * n }, (_, at) => half[at] + half[(at % n) * n + Math.floor(at / n)]);
    const { values, vectors } = eigenSymmetric(a.slice(), n);
    const scaled = vectors.map((x, at) => x * values[Math.floor(at / n)]);
    const turned = Float64Array.from({ length: n * n }, (_, at) => vectors[(at % n) * n + Math.floor(at / n)]);
    expect(difference(product(turned, scaled, n, n, n), a)).toBeLessThan(1e-24 * squared(a) * n);
    const identity = product(vectors, turned, n, n, n);
    identity.forEach((x, at) => expect(x).toBeCloseTo(at % (n + 1) === 0 ? 1 : 0, 12));
    expect([...values]).toEqual([...values].sort((p, q) => q - p));
  });

  it.each<[string, (k: number) => number]>([
    ['evenly spread', (k) => 1 - k / 96],
    ['falling by a power', (k) => (k + 1) ** -3],
    ['falling to nothing', (k) => 10 ** -(k / 6)],
    ['in pairs that are nearly equal', (k) => 2 ** -Math.floor(k / 2) * (1 - 1e-12 * (k % 2))],
    ['of low rank', (k) => (k < 20 ? 20 - k : 0)],
  ])('finds some vectors as well as all of them where eigenvalues are %s', (_, valueOf) => {
    const n = 96;
    const count = 30;
    // Reflections of a diagonal matrix: its eigenvalues are known to the last digit or two.
    let a: Float64Array = Float64Array.from({ length: n * n }, (__, at) =>
      at % (n + 1) === 0 ? valueOf(at / (n + 1)) : 0,
    );
    for (let round = 0; round < 3; round++) {
      const v = noise(n);
      const scale = 2 / squared(v);
      const mirror = Float64Array.from(
        { length: n * n },
        (__, at) => (at % (n + 1) === 0 ? 1 : 0) - scale * v[Math.floor(at / n)] * v[at % n],
      );
      a = product(product(mirror, a, n, n, n), mirror, n, n, n);
    }
    const { values, vectors } = eigenSymmetric(a.slice(), n, count);
    expect(vectors).toHaveLength(count * n);
    for (let k = 0; k < n; k++) expect(values[k]).toBeCloseTo(valueOf(k), 12);
    const turned = Float64Array.from(
      { length: n * count },
      (__, at) => vectors[(at % count) * n + Math.floor(at / count)],
    );
    const products = product(vectors, turned, count, n, count);
    products.forEach((x, at) => expect(Math.abs(x - (at % (count + 1) === 0 ? 1 : 0))).toBeLessThan(1e-9));
    const errors = product(vectors, a, count, n, n).map((x, at) => x - values[Math.floor(at / n)] * vectors[at]);
    for (let k = 0; k < count; k++) {
      expect(Math.sqrt(squared(errors.subarray(k * n, (k + 1) * n)))).toBeLessThan(1e-13 * n * valueOf(0));
    }
  });

  it('leaves eigenvectors that inverse iteration cannot tell apart to another method', () => {
    const [diagonal, offDiagonal] = [Float64Array.of(1, 1, 1, 0), new Float64Array(4)];
    expect(tridiagonalVectors({ diagonal, offDiagonal }, Float64Array.of(1, 1, 1))).toBeDefined();
    const lost = tridiagonalVectors({ diagonal, offDiagonal }, Float64Array.of(1.5));
    expect(lost).toBeUndefined();
  });

  it('bears equal eigenvalues, zeros and blocks that fall apart', () => {
    const n = 6;
    const a = new Float64Array(n * n);
    for (let i = 0; i < 4; i++) a[i * n + i] = 3;
    expect([...eigenSymmetric(a, n).values]).toEqual([3, 3, 3, 3, 0, 0]);
  });
});

describe('cholesky', () => {
  it('factors, multiplies and solves', () => {
    const [n, columns] = [9, 4];
    const moment = momentOf(noise(50 * n), 50, n);
    const lower = cholesky(moment, n);
    const turned = Float64Array.from({ length: n * n }, (_, at) => lower[(at % n) * n + Math.floor(at / n)]);
    expect(difference(product(lower, turned, n, n, n), moment)).toBeLessThan(1e-8 * squared(moment));
    const x = Float64Array.from(noise(n * columns));
    const y = timesTransposedLower(lower, x, n, columns);
    expect(difference(y, product(turned, x, n, n, columns))).toBeLessThan(1e-24 * squared(y));
    expect(difference(solveTransposedLower(lower, y, n, columns), x)).toBeLessThan(1e-20);
  });

  it('bears a moment that does not excite every direction', () => {
    const moment = momentOf(noise(3 * 8), 3, 8);
    expect([...cholesky(moment, 8)].every(Number.isFinite)).toBe(true);
  });
});

describe('low-rank approximation', () => {
  it('knows the singular values of a product of rotations and a diagonal', () => {
    // Columns of Hadamard matrices are orthogonal with norm 2: W = (H/2) diag(4, 3, 2, 1) (H/2)'.
    const h = [1, 1, 1, 1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, -1, 1].map((x) => x / 2);
    const scaled = h.map((x, at) => x * (4 - (at % 4)));
    const weight = { rows: 4, columns: 4, data: Float32Array.from(product(scaled, h, 4, 4, 4)) };
    const { energies } = decompose(weight);
    [16, 9, 4, 1].forEach((energy, k) => expect(energies[k]).toBeCloseTo(energy, 5));
    expect(keptEnergy(energies, 2)).toBeCloseTo(25 / 30, 6);
  });

  it.each([
    [12, 7],
    [7, 12],
    [9, 9],
  ])('of %i x %i loses exactly the energy that it leaves out, and nothing at full rank', (rows, columns) => {
    const weight = matrix(rows, columns);
    const parts = decompose(weight);
    for (let rank = 1; rank <= Math.min(rows, columns); rank++) {
      const lost = squared(weight.data) * (1 - keptEnergy(parts.energies, rank));
      expect(difference(multiplied(parts.factors(rank), rows, columns), weight.data)).toBeCloseTo(lost, 4);
    }
  });

  it('gives both factors the same norms', () => {
    const { first, second } = lowRank(matrix(8, 5), 3);
    for (let k = 0; k < 3; k++) {
      const column = squared(Array.from({ length: 8 }, (_, i) => first[i * 3 + k]));
      expect(column).toBeCloseTo(squared(second.subarray(k * 5, (k + 1) * 5)), 4);
    }
  });

  it.each([
    ['inputs', 6, 10],
    ['inputs', 8, 8],
    ['outputs', 10, 6],
  ] as const)('with the moment of the %s of %i x %i is best for the texts, not for the weight', (of, rows, columns) => {
    const n = 200;
    const weight = matrix(rows, columns);
    // Inputs that lie mostly in a few directions.
    const x = noise(n * rows).map((value, at) => value / (1 + (at % rows)) ** 2);
    const y = product(x, weight.data, n, rows, columns);
    const moment: SecondMoment =
      of === 'inputs' ? { of, values: momentOf(x, n, rows) } : { of, values: momentOf(y, n, columns) };
    const error = (factors: ReturnType<typeof lowRank>): number =>
      difference(product(x, multiplied(factors, rows, columns), n, rows, columns), y);
    for (const rank of [1, 2, 4]) {
      const [aware, plain] = [lowRank(weight, rank, moment), lowRank(weight, rank)];
      expect(error(aware)).toBeLessThan(0.9 * error(plain));
      // No approximation of this rank is better than the energy that is left out says.
      expect(error(aware) / squared(y)).toBeCloseTo(1 - aware.kept, 4);
    }
  });

  it.each([
    ['inputs', 6, 10],
    ['outputs', 10, 6],
  ] as const)('with %s about their mean lets a bias of %i x %i keep the mean', (of, rows, columns) => {
    const n = 300;
    const weight = matrix(rows, columns);
    const x = noise(n * rows).map((value, at) => value + 3 * ((at % rows) - 2));
    const y = product(x, weight.data, n, rows, columns);
    const [v, width] = of === 'inputs' ? [x, rows] : [y, columns];
    const mean = Float64Array.from({ length: width }, (_, j) => {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += v[i * width + j];
      return sum / n;
    });
    const centred = Float64Array.from(v, (value, at) => value - mean[at % width]);
    const moment = { of, values: momentOf(centred, n, width).map((sum) => sum / n), mean };
    const factors = lowRank(weight, 2, moment);
    const shift = biasShift(weight, factors, moment);
    const thin = product(x, multiplied(factors, rows, columns), n, rows, columns).map(
      (z, at) => z + shift[at % columns],
    );
    for (let j = 0; j < columns; j++) {
      let error = 0;
      for (let i = 0; i < n; i++) error += (thin[i * columns + j] - y[i * columns + j]) / n;
      expect(error).toBeCloseTo(0, 4);
    }
    const raw = lowRank(weight, 2, { of, values: momentOf(v, n, width) });
    const without = product(x, multiplied(raw, rows, columns), n, rows, columns);
    expect(difference(thin, y)).toBeLessThan(0.9 * difference(without, y));
  });

  it('refuses ranks that a matrix does not have, and moments of another size', () => {
    const weight = matrix(4, 6);
    for (const rank of [0, 5, 1.5]) expect(() => lowRank(weight, rank)).toThrow('ranks 1 to 4');
    expect(() => decompose(weight, { of: 'inputs', values: new Float64Array(36) })).toThrow('does not fit');
    expect(() => decompose(weight, { of: 'outputs', values: new Float64Array(36) })).toThrow('does not fit');
  });

  it('bears a weight of zeros', () => {
    const { first, second, kept } = lowRank({ rows: 3, columns: 4, data: new Float32Array(12) }, 2);
    expect([...first, ...second].every((x) => x === 0)).toBe(true);
    expect(kept).toBe(1);
  });

  it.each([
    [768, 768, 383],
    [768, 3072, 614],
    [2, 2, 0],
  ])('of %i x %i saves up to rank %i', (rows, columns, rank) => {
    expect(breakEvenRank(rows, columns)).toBe(rank);
    expect(rank * (rows + columns)).toBeLessThan(rows * columns);
    expect((rank + 1) * (rows + columns)).toBeGreaterThanOrEqual(rows * columns);
  });
});
