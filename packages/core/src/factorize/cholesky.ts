/** @file Cholesky factors of second moments, and what whitening does with them. Row-major float64. */
import { addFourRows, addRow } from './products';

/** Ridge on the diagonal, as a share of its mean: calibration texts may not excite every direction. */
const RIDGE = 1e-6;

/** Lower triangle L [n, n] with L L' = A + ridge I for a symmetric positive semi-definite A; A is not changed. */
export function cholesky(a: Float64Array, n: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += a[i * n + i];
  let ridge = Math.max((RIDGE * trace) / n, Number.MIN_VALUE);
  for (;;) {
    const lower = tryCholesky(a, n, ridge);
    if (lower) return lower;
    ridge *= 10;
  }
}

function tryCholesky(a: Float64Array, n: number, ridge: number): Float64Array | undefined {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let j = 0; j <= i; j++) {
      const other = j * n;
      let sum = a[row + j] + (i === j ? ridge : 0);
      for (let k = 0; k < j; k++) sum -= lower[row + k] * lower[other + k];
      if (i === j && !(sum > 0)) return undefined;
      lower[row + j] = i === j ? Math.sqrt(sum) : sum / lower[other + j];
    }
  }
  return lower;
}

/** L' X for X [n, columns]. */
export function timesTransposedLower(lower: Float64Array, x: Float64Array, n: number, columns: number): Float64Array {
  const product = new Float64Array(n * columns);
  for (let i = 0; i < n; i++) {
    let k = i;
    for (; k + 4 <= n; k += 4) addFourRows(product, i * columns, lower, k * n + i, n, x, k * columns, columns);
    for (; k < n; k++) addRow(product, i * columns, lower[k * n + i], x, k * columns, columns);
  }
  return product;
}

/** X with L' X = Y, for Y [n, columns]; Y is overwritten and returned. */
export function solveTransposedLower(lower: Float64Array, y: Float64Array, n: number, columns: number): Float64Array {
  for (let k = n - 1; k >= 0; k--) {
    const row = k * columns;
    const pivot = lower[k * n + k];
    for (let j = 0; j < columns; j++) y[row + j] /= pivot;
    for (let i = 0; i < k; i++) {
      const factor = lower[k * n + i];
      for (let j = 0; j < columns; j++) y[i * columns + j] -= factor * y[row + j];
    }
  }
  return y;
}
