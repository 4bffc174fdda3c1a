/**
 * @file The best low-rank approximation of a weight matrix: W [in, out] ~ A [in, r] B [r, out].
 *
 * Plain: least |W - A B|_F (Eckart & Young 1936), by projecting W on its leading singular vectors, which are the
 * eigenvectors of W W' or W' W, whichever is smaller.
 *
 * Activation-aware: least E |x W - x A B|^2 over the layer's own inputs x, as SVD-LLM (Wang et al. 2024,
 * arXiv:2403.07378, section 3.1) has it: with E[x' x] = L L', decompose M = L' W and multiply by the inverse of L'.
 * Where `out` is the smaller side, the same optimum needs neither L nor its inverse: the right singular vectors of M
 * are the eigenvectors of M' M = E[y' y], y = x W, so it is enough to know the second moment of the outputs.
 *
 * Where the layer has a bias, that can keep the mean of the outputs for nothing: the moments are then about the mean, and
 * the rank is spent on what varies (`biasShift`).
 */
import { invalid } from '../errors';
import { cholesky, solveTransposedLower, timesTransposedLower } from './cholesky';
import { eigenSymmetric } from './eigen';
import { gramOfColumns, gramOfRows, times, timesTransposed, transposed } from './products';

/** A float32 matrix in row-major order. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** What calibration texts say of a layer: the second moment of its inputs, E[x' x], or of its products, E[y' y]. */
export interface SecondMoment {
  readonly of: 'inputs' | 'outputs';
  /** [n, n] float64 with n = rows (inputs) or columns (outputs) of the weight; any positive scale. */
  readonly values: Float64Array;
  /** [n]: the values are about this mean, and the layer's bias is to make up for what the mean loses (`biasShift`). */
  readonly mean?: Float64Array;
}

/** The moment that the approximation of such a weight needs. */
export const momentSide = (rows: number, columns: number): SecondMoment['of'] =>
  columns < rows ? 'outputs' : 'inputs';

export interface LowRank {
  /** [rows, rank] */
  readonly first: Float32Array;
  /** [rank, columns] */
  readonly second: Float32Array;
}

/** A weight taken apart: how much each rank holds, and its factors at any rank. */
export interface Decomposition {
  readonly rows: number;
  readonly columns: number;
  /** Squared singular values in descending order, min(rows, columns) of them; of M where activations are known. */
  readonly energies: Float64Array;
  /** Factors of equal column and row norms, 1 <= rank <= maxRank. */
  factors(rank: number): LowRank;
}

/** Largest rank at which two thin matrices have fewer elements than one whole: r (m + n) < m n. */
export const breakEvenRank = (rows: number, columns: number): number =>
  Math.ceil((rows * columns) / (rows + columns)) - 1;

/**
 * Takes a matrix apart.
 * @param maxRank most ranks that `factors` will be asked for; default all
 * @throws invalid `factorize.moment` for a moment of another size
 */
export function decompose(weight: Matrix, moment?: SecondMoment, maxRank?: number): Decomposition {
  const { rows, columns } = weight;
  const whole = Float64Array.from(weight.data);
  if (moment) requireSize(moment, weight);
  const lower = moment?.of === 'inputs' ? cholesky(moment.values, rows) : undefined;
  const matrix = lower ? timesTransposedLower(lower, whole, rows, columns) : whole;
  const onRight = columns <= rows || moment?.of === 'outputs';
  const n = onRight ? columns : rows;
  const gram =
    moment?.of === 'outputs'
      ? moment.values.slice()
      : onRight
        ? gramOfColumns(matrix, rows, columns)
        : gramOfRows(matrix, rows, columns);
  const { values, vectors } = eigenSymmetric(gram, n, Math.min(n, maxRank ?? n));
  const energies = values.map((value) => Math.max(0, value)).subarray(0, Math.min(rows, columns));
  return {
    rows,
    columns,
    energies,
    factors(rank) {
      const basis = vectors.subarray(0, rank * n);
      if (onRight) return balanced(timesTransposed(whole, basis, rows, columns, rank), basis, rows, columns, rank);
      const left = transposed(basis, rank, rows);
      const second = times(basis, matrix, rank, rows, columns);
      const first = lower ? solveTransposedLower(lower, left, rows, rank) : left;
      return balanced(first, second, rows, columns, rank);
    },
  };
}

/**
 * The best approximation at one rank: least squared error of the weight, or of the layer's outputs where a second
 * moment is given. The way to try a rank on a layer.
 * @returns the factors and the share of squared singular values that they keep
 * @throws invalid `factorize.rank` above the full rank
 */
export function lowRank(weight: Matrix, rank: number, moment?: SecondMoment): LowRank & { readonly kept: number } {
  const full = Math.min(weight.rows, weight.columns);
  if (!Number.isInteger(rank) || rank < 1 || rank > full) {
    throw invalid(
      'factorize.rank',
      `A ${weight.rows} x ${weight.columns} matrix has ranks 1 to ${full}, not ${rank}.`,
      {
        field: 'rank',
      },
    );
  }
  const parts = decompose(weight, moment, rank);
  return { ...parts.factors(rank), kept: keptEnergy(parts.energies, rank) };
}

/** Share of the squared singular values in the first `rank`; 1 for a zero matrix. */
export function keptEnergy(energies: Float64Array, rank: number): number {
  const sum = (part: Float64Array): number => part.reduce((total, energy) => total + energy, 0);
  const total = sum(energies);
  return total === 0 ? 1 : sum(energies.subarray(0, rank)) / total;
}

/** A B of a factorized weight, for comparisons. */
export function multiplied({ first, second }: LowRank, rows: number, columns: number): Float32Array {
  const rank = second.length / columns;
  return Float32Array.from(times(first, second, rows, rank, columns));
}

/** Scales column k of A and row k of B to one norm, so that training moves both alike; zero pairs stay zero. */
function balanced(a: Float64Array, b: Float64Array, rows: number, columns: number, rank: number): LowRank {
  const first = new Float32Array(rows * rank);
  const second = new Float32Array(rank * columns);
  for (let k = 0; k < rank; k++) {
    let [ofA, ofB] = [0, 0];
    for (let i = 0; i < rows; i++) ofA += a[i * rank + k] ** 2;
    for (let j = 0; j < columns; j++) ofB += b[k * columns + j] ** 2;
    const scale = ofA > 0 && ofB > 0 ? (ofB / ofA) ** 0.25 : 0;
    for (let i = 0; i < rows; i++) first[i * rank + k] = a[i * rank + k] * scale;
    if (scale > 0) for (let j = 0; j < columns; j++) second[k * columns + j] = b[k * columns + j] / scale;
  }
  return { first, second };
}

/**
 * What to add to a layer's bias so that the mean of its outputs stays, where the moment is about a mean m:
 * m (W - A B) of inputs; m - m B' (B B')^-1 B of outputs, with the orthogonal rows that `factors` gives B.
 * @returns [columns]
 */
export function biasShift(
  weight: Matrix,
  { first, second }: LowRank,
  { of, mean }: Required<SecondMoment>,
): Float64Array {
  const { rows, columns } = weight;
  const rank = second.length / columns;
  if (of === 'inputs') {
    const kept = times(times(mean, first, 1, rows, rank), second, 1, rank, columns);
    return times(mean, weight.data, 1, rows, columns).map((value, j) => value - kept[j]);
  }
  const lost = mean.slice();
  for (let k = 0; k < rank; k++) {
    const row = second.subarray(k * columns, (k + 1) * columns);
    const size = row.reduce((sum, x) => sum + x * x, 0);
    if (size === 0) continue;
    const share = row.reduce((sum, x, j) => sum + x * mean[j], 0) / size;
    for (let j = 0; j < columns; j++) lost[j] -= share * row[j];
  }
  return lost;
}

function requireSize({ of, values }: SecondMoment, { rows, columns }: Matrix): void {
  const n = of === 'inputs' ? rows : columns;
  if (values.length === n * n && (of === 'inputs' || columns <= rows)) return;
  throw invalid(
    'factorize.moment',
    `A second moment of the ${of} with ${values.length} elements does not fit a ${rows} x ${columns} matrix.`,
  );
}
