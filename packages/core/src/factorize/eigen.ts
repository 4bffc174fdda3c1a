/**
 * @file Eigenvalues and eigenvectors of a real symmetric matrix in float64: Householder reduction to tridiagonal form,
 * then implicit QL (Golub & Van Loan, Matrix Computations, 4th ed., sections 8.3.1 and 8.3.3).
 *
 * Both parts touch memory by rows only. n = 768 takes about a second.
 */
import { ModelpressError } from '../errors';

export interface Eigen {
  /** [n], in descending order. */
  readonly values: Float64Array;
  /** [count, n]: row k is the unit eigenvector of values[k]. */
  readonly vectors: Float64Array;
}

/** QL needs about two sweeps an eigenvalue. */
const MAX_SWEEPS = 60;

/**
 * @param symmetric [n, n] row-major; only the lower triangle is read. Overwritten.
 * @param count how many eigenvectors of the largest eigenvalues are wanted
 * @throws internal `factorize.eigen` when the iteration does not converge (a matrix that is not finite)
 */
export function eigenSymmetric(symmetric: Float64Array, n: number, count = n): Eigen {
  const { diagonal, offDiagonal, reflectors } = tridiagonalise(symmetric, n);
  const rotated = identity(n);
  implicitQl(diagonal, offDiagonal, rotated, n);
  const order = Array.from(diagonal.keys()).sort((a, b) => diagonal[b] - diagonal[a]);
  const vectors = new Float64Array(count * n);
  for (let k = 0; k < count; k++) {
    const vector = vectors.subarray(k * n, (k + 1) * n);
    vector.set(rotated.subarray(order[k] * n, (order[k] + 1) * n));
    reflect(vector, reflectors, n);
  }
  return { values: Float64Array.from(order, (at) => diagonal[at]), vectors };
}

interface Tridiagonal {
  /** [n] */
  readonly diagonal: Float64Array;
  /** [n]: element i couples i and i + 1; the last is 0. */
  readonly offDiagonal: Float64Array;
  /** [n, n]: row k is the vector v of the reflection I - v v' (its norm is sqrt 2, or 0), zero up to element k. */
  readonly reflectors: Float64Array;
}

/** A = Q T Q' with Q = H_0 H_1 ..., H_k = I - v_k v_k'. Works in the lower triangle of `a`. */
function tridiagonalise(a: Float64Array, n: number): Tridiagonal {
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
      const [vi, wi] = [v[i], w[i]];
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
  for (let i = start; i < n; i++) {
    const row = i * n;
    const vi = v[i];
    let sum = a[row + i] * vi;
    for (let j = start; j < i; j++) {
      const element = a[row + j];
      sum += element * v[j];
      w[j] += element * vi;
    }
    w[i] += sum;
  }
}

/** Diagonalises T in place; row k of `vectors` becomes the eigenvector of diagonal[k]. */
function implicitQl(diagonal: Float64Array, offDiagonal: Float64Array, vectors: Float64Array, n: number): void {
  for (let l = 0; l < n; l++) {
    for (let sweep = 0; ; sweep++) {
      const m = smallCoupling(diagonal, offDiagonal, l, n);
      if (m === l) break;
      if (sweep === MAX_SWEEPS) {
        throw new ModelpressError('internal', 'factorize.eigen', 'The eigenvalues of a matrix did not converge.');
      }
      qlSweep(diagonal, offDiagonal, vectors, l, m, n);
    }
  }
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

/** One implicit QL step with Wilkinson's shift on the block l..m. */
function qlSweep(
  diagonal: Float64Array,
  offDiagonal: Float64Array,
  vectors: Float64Array,
  l: number,
  m: number,
  n: number,
): void {
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
      return;
    }
    sine = f / r;
    cosine = g / r;
    const shifted = diagonal[i + 1] - p;
    const turn = (diagonal[i] - shifted) * sine + 2 * cosine * b;
    p = sine * turn;
    diagonal[i + 1] = shifted + p;
    g = cosine * turn - b;
    rotate(vectors, i * n, n, sine, cosine);
  }
  diagonal[l] -= p;
  offDiagonal[l] = g;
  offDiagonal[m] = 0;
}

/** Rotates the row at `at` with the next one. */
function rotate(rows: Float64Array, at: number, n: number, sine: number, cosine: number): void {
  const next = at + n;
  for (let k = 0; k < n; k++) {
    const upper = rows[next + k];
    const lower = rows[at + k];
    rows[next + k] = sine * lower + cosine * upper;
    rows[at + k] = cosine * lower - sine * upper;
  }
}

/** x <- Q x = H_0 (H_1 (...)) */
function reflect(x: Float64Array, reflectors: Float64Array, n: number): void {
  for (let k = n - 2; k >= 0; k--) {
    const row = k * n;
    let dot = 0;
    for (let i = k + 1; i < n; i++) dot += reflectors[row + i] * x[i];
    if (dot === 0) continue;
    for (let i = k + 1; i < n; i++) x[i] -= dot * reflectors[row + i];
  }
}

function identity(n: number): Float64Array {
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) matrix[i * n + i] = 1;
  return matrix;
}
