/**
 * @file Eigenvalues and eigenvectors of a real symmetric matrix in float64: Householder reduction to tridiagonal form,
 * then implicit QL (Golub & Van Loan, Matrix Computations, 4th ed., sections 8.3.1 and 8.3.3). Where only some vectors
 * are wanted, QL gives the eigenvalues and inverse iteration the vectors.
 *
 * Loops touch memory by rows and carry four sums at a time, so that additions need not wait for each other.
 */
import { ModelpressError } from '../errors';
import { dot } from './products';
import { tridiagonalVectors } from './tridiagonal-vectors';
import type { TridiagonalMatrix } from './tridiagonal-vectors';

export interface Eigen {
  /** [n], in descending order. */
  readonly values: Float64Array;
  /** [count, n]: row k is the unit eigenvector of values[k]. */
  readonly vectors: Float64Array;
}

/** QL needs about two sweeps an eigenvalue. */
const MAX_SWEEPS = 60;
/** Sweeps, and vectors, that are worked on together, so that what they read is still in the cache. */
const BLOCK = 8;

/**
 * @param symmetric [n, n] row-major; only the lower triangle is read. Overwritten.
 * @param count how many eigenvectors of the largest eigenvalues are wanted
 * @throws internal `factorize.eigen` when the iteration does not converge (a matrix that is not finite)
 */
export function eigenSymmetric(symmetric: Float64Array, n: number, count = n): Eigen {
  const { reflectors, ...tridiagonal } = tridiagonalise(symmetric, n);
  const { values, vectors } = someVectors(tridiagonal, count) ?? allVectors(tridiagonal, count);
  for (let k = 0; k < count; k += BLOCK)
    reflect(vectors.subarray(k * n, Math.min(count, k + BLOCK) * n), reflectors, n);
  return { values, vectors };
}

/** Eigenvalues by QL and the wanted vectors one by one, where not all are wanted. */
function someVectors({ diagonal, offDiagonal }: TridiagonalMatrix, count: number): Eigen | undefined {
  const n = diagonal.length;
  if (count === n) return undefined;
  const values = diagonal.slice();
  implicitQl(values, offDiagonal.slice(), () => undefined);
  values.sort().reverse();
  const vectors = tridiagonalVectors({ diagonal, offDiagonal }, values.subarray(0, count));
  return vectors && { values, vectors };
}

/** Eigenvalues and all vectors by QL. */
function allVectors({ diagonal, offDiagonal }: TridiagonalMatrix, count: number): Eigen {
  const n = diagonal.length;
  const columns = identity(n);
  const values = diagonal.slice();
  implicitQl(values, offDiagonal.slice(), (sweeps) => rotateColumns(columns, sweeps, n));
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  const vectors = new Float64Array(count * n);
  for (let k = 0; k < count; k++) for (let i = 0; i < n; i++) vectors[k * n + i] = columns[i * n + order[k]];
  return { values: Float64Array.from(order, (at) => values[at]), vectors };
}

interface Tridiagonalised extends TridiagonalMatrix {
  /** [n, n]: row k is the vector v of the reflection I - v v' (its norm is sqrt 2, or 0), zero up to element k. */
  readonly reflectors: Float64Array;
}

/** A = Q T Q' with Q = H_0 H_1 ..., H_k = I - v_k v_k'. Works in the lower triangle of `a`. */
function tridiagonalise(a: Float64Array, n: number): Tridiagonalised {
  const diagonal = new Float64Array(n);
  const offDiagonal = new Float64Array(n);
  const reflectors = new Float64Array(n * n);
  const w = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    diagonal[k] = a[k * n + k];
    const v = reflectors.subarray(k * n, (k + 1) * n);
    for (let i = k + 1; i < n; i++) v[i] = a[i * n + k];
    offDiagonal[k] = householder(v, k + 1, n);
    if (v[k + 1] === 0) continue;
    timesLower(a, v, w, k + 1, n);
    // A <- H A H = A - v w' - w v' with w = A v - (v' A v / 2) v.
    let overlap = 0;
    for (let i = k + 1; i < n; i++) overlap += v[i] * w[i];
    for (let i = k + 1; i < n; i++) w[i] -= (overlap / 2) * v[i];
    for (let i = k + 1; i < n; i++) {
      const vi = v[i];
      const wi = w[i];
      const row = i * n;
      for (let j = k + 1; j <= i; j++) a[row + j] -= vi * w[j] + wi * v[j];
    }
  }
  diagonal[n - 1] = a[n * n - 1];
  return { diagonal, offDiagonal, reflectors };
}

/**
 * Turns x (elements from `start` on) into v with (I - v v') x = beta e_start; returns beta.
 * v = (x - beta e) sqrt(2) / |x - beta e|; zero where x is a multiple of e already.
 */
function householder(x: Float64Array, start: number, n: number): number {
  let tail = 0;
  for (let i = start + 1; i < n; i++) tail += x[i] * x[i];
  const head = x[start];
  if (tail === 0) {
    x[start] = 0;
    return head;
  }
  const norm = Math.sqrt(head * head + tail);
  const beta = head > 0 ? -norm : norm;
  const lead = head - beta;
  const scale = Math.SQRT2 / Math.sqrt(lead * lead + tail);
  x[start] = lead * scale;
  for (let i = start + 1; i < n; i++) x[i] *= scale;
  return beta;
}

/** w = A v over elements from `start` on, A given by its lower triangle. */
function timesLower(a: Float64Array, v: Float64Array, w: Float64Array, start: number, n: number): void {
  w.fill(0, start);
  let i = start;
  for (; i + 4 <= n; i += 4) timesFourRows(a, v, w, start, i, n);
  for (; i < n; i++) {
    w[i] += a[i * n + i] * v[i];
    timesRow(a, v, w, start, i, n);
  }
}

/** What row i adds between column `start` and the diagonal, by itself and by symmetry. */
function timesRow(a: Float64Array, v: Float64Array, w: Float64Array, start: number, i: number, n: number): void {
  const row = i * n;
  const vi = v[i];
  let sum = 0;
  for (let j = start; j < i; j++) {
    const element = a[row + j];
    sum += element * v[j];
    w[j] += element * vi;
  }
  w[i] += sum;
}

/** Rows i..i+3: together left of column i, one by one in the small triangle. */
function timesFourRows(a: Float64Array, v: Float64Array, w: Float64Array, start: number, i: number, n: number): void {
  const [r0, r1, r2, r3] = [i * n, (i + 1) * n, (i + 2) * n, (i + 3) * n];
  const [v0, v1, v2, v3] = [v[i], v[i + 1], v[i + 2], v[i + 3]];
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let j = start; j < i; j++) {
    const vj = v[j];
    const a0 = a[r0 + j];
    const a1 = a[r1 + j];
    const a2 = a[r2 + j];
    const a3 = a[r3 + j];
    s0 += a0 * vj;
    s1 += a1 * vj;
    s2 += a2 * vj;
    s3 += a3 * vj;
    w[j] += a0 * v0 + a1 * v1 + (a2 * v2 + a3 * v3);
  }
  w[i] += s0;
  w[i + 1] += s1;
  w[i + 2] += s2;
  w[i + 3] += s3;
  for (let row = i; row < i + 4; row++) {
    w[row] += a[row * n + row] * v[row];
    timesRow(a, v, w, i, row, n);
  }
}

/** Diagonalises T in place; `apply` hears of the rotations, some sweeps at a time. */
function implicitQl(
  diagonal: Float64Array,
  offDiagonal: Float64Array,
  apply: (sweeps: readonly Sweep[]) => void,
): void {
  const n = diagonal.length;
  let sweeps: Sweep[] = [];
  for (let l = 0; l < n; l++) {
    for (let attempt = 0; ; attempt++) {
      const m = smallCoupling(diagonal, offDiagonal, l, n);
      if (m === l) break;
      if (attempt === MAX_SWEEPS) {
        throw new ModelpressError('internal', 'factorize.eigen', 'The eigenvalues of a matrix did not converge.');
      }
      sweeps.push(qlSweep(diagonal, offDiagonal, l, m));
      if (sweeps.length < BLOCK) continue;
      apply(sweeps);
      sweeps = [];
    }
  }
  apply(sweeps);
}

/** First m >= l with a negligible coupling to m + 1. */
function smallCoupling(diagonal: Float64Array, offDiagonal: Float64Array, l: number, n: number): number {
  let m = l;
  for (; m < n - 1; m++) {
    const size = Math.abs(diagonal[m]) + Math.abs(diagonal[m + 1]);
    if (Math.abs(offDiagonal[m]) <= Number.EPSILON * size) break;
  }
  return m;
}

/** Rotations from - 1 down to `to`; rotation i, at index i - to, turns columns i and i + 1. */
interface Sweep {
  readonly from: number;
  readonly to: number;
  readonly sines: Float64Array;
  readonly cosines: Float64Array;
}

/** One implicit QL step with Wilkinson's shift on the block l..m. */
function qlSweep(diagonal: Float64Array, offDiagonal: Float64Array, l: number, m: number): Sweep {
  const sines = new Float64Array(m - l);
  const cosines = new Float64Array(m - l);
  const half = (diagonal[l + 1] - diagonal[l]) / (2 * offDiagonal[l]);
  const root = Math.hypot(half, 1);
  let g = diagonal[m] - diagonal[l] + offDiagonal[l] / (half + (half < 0 ? -root : root));
  let [sine, cosine, p] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const f = sine * offDiagonal[i];
    const b = cosine * offDiagonal[i];
    const r = Math.hypot(f, g);
    offDiagonal[i + 1] = r;
    if (r === 0) {
      // The block falls apart: go on with its parts.
      diagonal[i + 1] -= p;
      offDiagonal[m] = 0;
      return { from: m, to: i + 1, sines: sines.subarray(i + 1 - l), cosines: cosines.subarray(i + 1 - l) };
    }
    sine = f / r;
    cosine = g / r;
    const shifted = diagonal[i + 1] - p;
    const turn = (diagonal[i] - shifted) * sine + 2 * cosine * b;
    p = sine * turn;
    diagonal[i + 1] = shifted + p;
    g = cosine * turn - b;
    sines[i - l] = sine;
    cosines[i - l] = cosine;
  }
  diagonal[l] -= p;
  offDiagonal[l] = g;
  offDiagonal[m] = 0;
  return { from: m, to: l, sines, cosines };
}

/** Applies sweeps to every row, four rows at a time. */
function rotateColumns(x: Float64Array, sweeps: readonly Sweep[], n: number): void {
  let row = 0;
  for (; row + 4 <= n; row += 4) for (const sweep of sweeps) rotateFourRows(x, sweep, row, n);
  for (; row < n; row++) for (const sweep of sweeps) rotateRow(x, sweep, row * n);
}

function rotateFourRows(x: Float64Array, { from, to, sines, cosines }: Sweep, row: number, n: number): void {
  const [r0, r1, r2, r3] = [row * n, (row + 1) * n, (row + 2) * n, (row + 3) * n];
  let [x0, x1, x2, x3] = [x[r0 + from], x[r1 + from], x[r2 + from], x[r3 + from]];
  for (let i = from - 1; i >= to; i--) {
    const s = sines[i - to];
    const c = cosines[i - to];
    const y0 = x[r0 + i];
    const y1 = x[r1 + i];
    const y2 = x[r2 + i];
    const y3 = x[r3 + i];
    x[r0 + i + 1] = s * y0 + c * x0;
    x[r1 + i + 1] = s * y1 + c * x1;
    x[r2 + i + 1] = s * y2 + c * x2;
    x[r3 + i + 1] = s * y3 + c * x3;
    x0 = c * y0 - s * x0;
    x1 = c * y1 - s * x1;
    x2 = c * y2 - s * x2;
    x3 = c * y3 - s * x3;
  }
  x[r0 + to] = x0;
  x[r1 + to] = x1;
  x[r2 + to] = x2;
  x[r3 + to] = x3;
}

function rotateRow(x: Float64Array, { from, to, sines, cosines }: Sweep, at: number): void {
  let last = x[at + from];
  for (let i = from - 1; i >= to; i--) {
    const next = x[at + i];
    x[at + i + 1] = sines[i - to] * next + cosines[i - to] * last;
    last = cosines[i - to] * next - sines[i - to] * last;
  }
  x[at + to] = last;
}

/** x <- Q x = H_0 (H_1 (...)) for every row x, four rows at a time. */
function reflect(rows: Float64Array, reflectors: Float64Array, n: number): void {
  for (let k = n - 2; k >= 0; k--) {
    const v = reflectors.subarray(k * n, (k + 1) * n);
    let x = 0;
    for (; x + 4 * n <= rows.length; x += 4 * n) reflectFourRows(rows, v, x, k + 1, n);
    for (; x < rows.length; x += n) {
      const overlap = dot(v, k + 1, rows, x + k + 1, n - k - 1);
      for (let i = k + 1; i < n; i++) rows[x + i] -= overlap * v[i];
    }
  }
}

function reflectFourRows(rows: Float64Array, v: Float64Array, r0: number, start: number, n: number): void {
  const [r1, r2, r3] = [r0 + n, r0 + 2 * n, r0 + 3 * n];
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = start; i < n; i++) {
    const vi = v[i];
    s0 += vi * rows[r0 + i];
    s1 += vi * rows[r1 + i];
    s2 += vi * rows[r2 + i];
    s3 += vi * rows[r3 + i];
  }
  for (let i = start; i < n; i++) {
    const vi = v[i];
    rows[r0 + i] -= s0 * vi;
    rows[r1 + i] -= s1 * vi;
    rows[r2 + i] -= s2 * vi;
    rows[r3 + i] -= s3 * vi;
  }
}

function identity(n: number): Float64Array {
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) matrix[i * n + i] = 1;
  return matrix;
}
