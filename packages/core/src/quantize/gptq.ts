/**
 * @file Quantization with error compensation (GPTQ: Frantar et al. 2022, algorithm 1): inputs are rounded one after the
 * other, and the error of each is spread over the inputs still to come so that the output on calibration data changes
 * least. With H = X^T X + damping and U upper triangular, H^-1 = U^T U:
 *     e = (w_i - w'_i) / U_ii,    w_j <- w_j - e U_ij  for j > i.
 */
import { codeOf, emptyCodes, fitGrid, padCodes, relativeError, requireFinite, rowOf } from './blocks';
import type { BlockCodes, BlockFormat, BlockGrid, FloatMatrix } from './blocks';

/**
 * @param u factor of the inverse of X^T X, where X are the weight's inputs: see `inverseFactor`.
 * @throws `quantize.not-finite`
 */
export function compensate(matrix: FloatMatrix, u: Float64Array, format: BlockFormat, name: string): BlockCodes {
  const { rows, columns } = matrix;
  requireFinite(matrix.values, name);
  const codes = emptyCodes(matrix, format);
  const weights = Float64Array.from(matrix.values);
  // Block by block over all rows, so that a block's rows of U stay in the cache.
  for (let k = 0; k < codes.blocks; k++) {
    const start = k * format.block;
    const end = Math.min(start + format.block, columns);
    for (let row = 0; row < rows; row++) {
      const own = weights.subarray(row * columns, (row + 1) * columns);
      const grid = fitGrid(own, start, end, format);
      compensateRow(own, rowOf(codes, row), u, start, end, grid, format.bits);
      codes.scales[row * codes.blocks + k] = grid.scale;
      codes.zeroPoints[row * codes.blocks + k] = grid.zeroPoint;
    }
  }
  padCodes(codes);
  return { ...codes, relativeError: relativeError(matrix, codes) };
}

/** Rounds row[start..end) and spreads the errors over everything behind. */
function compensateRow(
  row: Float64Array,
  codes: Uint8Array,
  u: Float64Array,
  start: number,
  end: number,
  grid: BlockGrid,
  bits: number,
): void {
  const n = row.length;
  for (let i = start; i < end; i++) {
    const code = codeOf(row[i], grid, bits);
    codes[i] = code;
    const error = (row[i] - grid.scale * (code - grid.zeroPoint)) / u[i * n + i];
    if (error === 0) continue;
    for (let j = i + 1, at = i * n + i + 1; j < n; j++, at++) row[j] -= error * u[at];
  }
}

/** H with damping; an input that never was anything but 0 gets the mean of the diagonal. */
function damped(hessian: Float32Array, n: number, damping: number): Float64Array {
  const h = Float64Array.from(hessian);
  let trace = 0;
  for (let i = 0; i < n; i++) trace += h[i * n + i];
  const mean = trace > 0 ? trace / n : 1;
  for (let i = 0; i < n; i++) h[i * n + i] = h[i * n + i] > 0 ? h[i * n + i] + damping * mean : mean;
  return h;
}

/**
 * U, upper triangular with H^-1 = U^T U: H = R R^T with R upper triangular, from the last column to the first, and
 * U = R^-1. Twice n^3 / 6 multiplications on one array instead of two factorizations and an inverse.
 * @param products X^T X, [n, n]; not changed.
 * @param damping added to its diagonal, as a share of the diagonal's mean.
 */
export function inverseFactor(products: Float32Array, n: number, damping: number): Float64Array {
  const h = damped(products, n, damping);
  for (let j = n - 1; j >= 0; j--) {
    const atJ = j * n;
    const pivot = Math.sqrt(h[atJ + j] - tailProduct(h, atJ, atJ, j + 1, n));
    for (let i = 0; i < j; i++) h[i * n + j] = (h[i * n + j] - tailProduct(h, i * n, atJ, j + 1, n)) / pivot;
    h[atJ + j] = pivot;
  }
  // Row i of U = (e_i - sum over k > i of R_ik U_k) / R_ii; row i of R is read before it is overwritten.
  const factors = new Float64Array(n);
  for (let i = n - 1; i >= 0; i--) {
    const own = i * n;
    for (let k = i; k < n; k++) factors[k] = h[own + k];
    h.fill(0, own, own + n);
    h[own + i] = 1 / factors[i];
    for (let k = i + 1; k < n; k++) {
      const factor = factors[k] / factors[i];
      if (factor === 0) continue;
      for (let j = k; j < n; j++) h[own + j] -= factor * h[k * n + j];
    }
  }
  return h;
}

/** Sum over k in from..n of h[a + k] h[b + k]. */
function tailProduct(h: Float64Array, a: number, b: number, from: number, n: number): number {
  let sum = 0;
  for (let k = from; k < n; k++) sum += h[a + k] * h[b + k];
  return sum;
}
