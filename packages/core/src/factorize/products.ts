/**
 * @file Products of small dense matrices in float64, row-major. Four sums are carried at a time, so that additions need
 * not wait for each other.
 */

/** Values of a matrix; weights are float32. */
type Values = Float64Array | Float32Array;

/** Sum of x[xAt + k] y[yAt + k] over k < count. */
export function dot(x: Values, xAt: number, y: Values, yAt: number, count: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let k = 0;
  for (; k + 4 <= count; k += 4) {
    s0 += x[xAt + k] * y[yAt + k];
    s1 += x[xAt + k + 1] * y[yAt + k + 1];
    s2 += x[xAt + k + 2] * y[yAt + k + 2];
    s3 += x[xAt + k + 3] * y[yAt + k + 3];
  }
  for (; k < count; k++) s0 += x[xAt + k] * y[yAt + k];
  return s0 + s1 + (s2 + s3);
}

/** X Y' of X [m, inner], Y [n, inner], in columns up to and with `lastColumn(row)`; others stay 0. */
function rowsTimesRows(
  x: Float64Array,
  y: Float64Array,
  m: number,
  inner: number,
  n: number,
  lastColumn: (row: number) => number,
): Float64Array {
  const product = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    const [a, end] = [i * inner, lastColumn(i) + 1];
    let j = 0;
    for (; j + 4 <= end; j += 4) {
      const [b0, b1, b2, b3] = [j * inner, (j + 1) * inner, (j + 2) * inner, (j + 3) * inner];
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let k = 0; k < inner; k++) {
        const value = x[a + k];
        s0 += value * y[b0 + k];
        s1 += value * y[b1 + k];
        s2 += value * y[b2 + k];
        s3 += value * y[b3 + k];
      }
      product[i * n + j] = s0;
      product[i * n + j + 1] = s1;
      product[i * n + j + 2] = s2;
      product[i * n + j + 3] = s3;
    }
    for (; j < end; j++) product[i * n + j] = dot(x, a, y, j * inner, inner);
  }
  return product;
}

/** X Y' of X [m, inner], Y [n, inner] */
export const timesTransposed = (x: Float64Array, y: Float64Array, m: number, inner: number, n: number): Float64Array =>
  rowsTimesRows(x, y, m, inner, n, () => n - 1);

/** The lower triangle of X X', [m, m], for X [m, n] */
export const gramOfRows = (x: Float64Array, m: number, n: number): Float64Array =>
  rowsTimesRows(x, x, m, n, m, (row) => row);

/** The lower triangle of X' X, [n, n], for X [m, n] */
export const gramOfColumns = (x: Float64Array, m: number, n: number): Float64Array =>
  gramOfRows(transposed(x, m, n), n, m);

/** X Y of X [m, inner], Y [inner, n] */
export function times(x: Values, y: Values, m: number, inner: number, n: number): Float64Array {
  const product = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    let k = 0;
    for (; k + 4 <= inner; k += 4) addFourRows(product, i * n, x, i * inner + k, 1, y, k * n, n);
    for (; k < inner; k++) addRow(product, i * n, x[i * inner + k], y, k * n, n);
  }
  return product;
}

/** to[at + j] += sum over q < 4 of factors[first + q step] y[row + q n + j]: each element is written once for four products. */
export function addFourRows(
  to: Float64Array,
  at: number,
  factors: Values,
  first: number,
  step: number,
  y: Values,
  row: number,
  n: number,
): void {
  const f0 = factors[first];
  const f1 = factors[first + step];
  const f2 = factors[first + 2 * step];
  const f3 = factors[first + 3 * step];
  const [y1, y2, y3] = [row + n, row + 2 * n, row + 3 * n];
  for (let j = 0; j < n; j++) to[at + j] += f0 * y[row + j] + f1 * y[y1 + j] + (f2 * y[y2 + j] + f3 * y[y3 + j]);
}

/** to[at + j] += factor y[row + j] */
export function addRow(to: Float64Array, at: number, factor: number, y: Values, row: number, n: number): void {
  if (factor === 0) return;
  for (let j = 0; j < n; j++) to[at + j] += factor * y[row + j];
}

export function transposed(x: Float64Array, rows: number, columns: number): Float64Array {
  const turned = new Float64Array(x.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = x[i * columns + j];
  return turned;
}
