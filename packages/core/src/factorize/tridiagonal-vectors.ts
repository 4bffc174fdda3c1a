/**
 * @file Some eigenvectors of a symmetric tridiagonal matrix T whose eigenvalues are known, by inverse iteration (Golub &
 * Van Loan, section 8.4.2; Demmel, Applied Numerical Linear Algebra, section 5.3.4): x <- (T - lambda)^-1 x, normalised.
 * Vectors of eigenvalues that lie close together are made orthogonal to each other in every step.
 */
import { Random } from '../train/random';
import { dot } from './products';

/**
 * Eigenvalues within this share of |T| of each other are made orthogonal. Others are so by themselves up to about
 * epsilon / share, 2e-9: well below the precision of the float32 factors that are made of them.
 */
const CLUSTER = 1e-7;
const MAX_STEPS = 5;

/** T: elements i and i + 1 are coupled by offDiagonal[i]. */
export interface TridiagonalMatrix {
  /** [n] */
  readonly diagonal: Float64Array;
  /** [n], the last element 0. */
  readonly offDiagonal: Float64Array;
}

/**
 * @param values eigenvalues, in descending order, each as often as it occurs
 * @returns [values.length, n], row k the unit eigenvector of values[k]; undefined where one was not found to about
 *   machine precision (T falls into parts, or eigenvalues are equal): then another method has to
 */
export function tridiagonalVectors(t: TridiagonalMatrix, values: Float64Array): Float64Array | undefined {
  const n = t.diagonal.length;
  const norm = normOf(t);
  const tolerance = 4 * n * Number.EPSILON * norm;
  const random = new Random(1);
  const vectors = new Float64Array(values.length * n);
  let cluster = 0;
  for (let k = 0; k < values.length; k++) {
    if (k > 0 && values[k - 1] - values[k] > CLUSTER * norm) cluster = k;
    const lu = factorise(t, values[k], Number.EPSILON * norm);
    const x = vectors.subarray(k * n, (k + 1) * n);
    for (let i = 0; i < n; i++) x[i] = random.normal();
    let isFound = false;
    for (let step = 0; step < MAX_STEPS && !isFound; step++) {
      normalise(x);
      solve(lu, x);
      normalise(x);
      for (let other = cluster; other < k; other++) removeShare(x, vectors, other * n);
      normalise(x);
      isFound = residual(t, values[k], x) <= tolerance;
    }
    if (!isFound) return undefined;
  }
  return vectors;
}

/** The largest sum of magnitudes in a row. */
function normOf({ diagonal, offDiagonal }: TridiagonalMatrix): number {
  return diagonal.reduce(
    (most, d, i) => Math.max(most, Math.abs(d) + Math.abs(offDiagonal[i]) + Math.abs(offDiagonal[i - 1] ?? 0)),
    0,
  );
}

/** T - lambda = P L U with partial pivoting: U has two diagonals above its own, L one multiplier a column. */
interface Factors {
  readonly own: Float64Array;
  readonly above: Float64Array;
  readonly secondAbove: Float64Array;
  readonly multipliers: Float64Array;
  /** 1: rows i and i + 1 changed places. */
  readonly swaps: Uint8Array;
}

/** @param tiny stands for a pivot of 0 */
function factorise({ diagonal, offDiagonal }: TridiagonalMatrix, lambda: number, tiny: number): Factors {
  const n = diagonal.length;
  const [own, above, secondAbove, multipliers] = [0, 1, 2, 3].map(() => new Float64Array(n));
  const swaps = new Uint8Array(n);
  let [pivot, next] = [diagonal[0] - lambda, offDiagonal[0]];
  for (let i = 0; i < n - 1; i++) {
    const below = offDiagonal[i];
    const [belowOwn, belowNext] = [diagonal[i + 1] - lambda, offDiagonal[i + 1]];
    if (Math.abs(below) > Math.abs(pivot)) {
      const multiplier = pivot / below;
      [own[i], above[i], secondAbove[i]] = [below, belowOwn, belowNext];
      [multipliers[i], swaps[i]] = [multiplier, 1];
      pivot = next - multiplier * belowOwn;
      next = -multiplier * belowNext;
    } else {
      own[i] = pivot === 0 ? tiny : pivot;
      above[i] = next;
      multipliers[i] = below / own[i];
      pivot = belowOwn - multipliers[i] * next;
      next = belowNext;
    }
  }
  own[n - 1] = pivot === 0 ? tiny : pivot;
  return { own, above, secondAbove, multipliers, swaps };
}

/** x <- (P L U)^-1 x */
function solve({ own, above, secondAbove, multipliers, swaps }: Factors, x: Float64Array): void {
  const n = x.length;
  for (let i = 0; i < n - 1; i++) {
    if (swaps[i]) {
      const upper = x[i + 1];
      x[i + 1] = x[i] - multipliers[i] * upper;
      x[i] = upper;
    } else {
      x[i + 1] -= multipliers[i] * x[i];
    }
  }
  x[n - 1] /= own[n - 1];
  if (n > 1) x[n - 2] = (x[n - 2] - above[n - 2] * x[n - 1]) / own[n - 2];
  for (let i = n - 3; i >= 0; i--) x[i] = (x[i] - above[i] * x[i + 1] - secondAbove[i] * x[i + 2]) / own[i];
}

function normalise(x: Float64Array): void {
  // The largest first: solutions may be too large to be squared.
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (let i = 0; i < x.length; i++) x[i] /= largest;
  const length = Math.sqrt(dot(x, 0, x, 0, x.length));
  for (let i = 0; i < x.length; i++) x[i] /= length;
}

/** x <- x - (x y) y for the unit vector y in `vectors` at `at`. */
function removeShare(x: Float64Array, vectors: Float64Array, at: number): void {
  const share = dot(x, 0, vectors, at, x.length);
  for (let i = 0; i < x.length; i++) x[i] -= share * vectors[at + i];
}

/** |T x - lambda x|; none where x is not finite. */
function residual({ diagonal, offDiagonal }: TridiagonalMatrix, lambda: number, x: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    let element = (diagonal[i] - lambda) * x[i];
    if (i > 0) element += offDiagonal[i - 1] * x[i - 1];
    if (i + 1 < x.length) element += offDiagonal[i] * x[i + 1];
    sum += element * element;
  }
  return Math.sqrt(sum);
}
