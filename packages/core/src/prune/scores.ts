/** @file Importance of single weights: what unstructured masks are made from. Higher is more important. */

/** Magnitude pruning (MaP): S = |W|  (Han et al. 2015). */
export function magnitudeScores(weights: Float32Array): Float32Array {
  return weights.map(Math.abs);
}

/** Low-rank and structured parts of PST's importance for one matrix [rows, columns], all row-major. */
export interface PstFactors {
  /** A [rows, rank] and B [rank, columns]: a low-rank stand-in for movement. */
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly rank: number;
  /** R [rows] and C [columns]: the importance of whole rows and columns. */
  readonly rows: Float32Array;
  readonly columns: Float32Array;
}

/**
 * Parameter-efficient sparsity (PST):  S = |W| + alpha1 * A B + alpha2 * (R 1' + 1 C')  (Li et al. 2022, eq. 8),
 * with (rows + columns)(rank + 1) trained numbers instead of the rows * columns of movement pruning.
 *
 * @param weights [rows, columns], the current weights (low-rank update included).
 */
export function pstScores(weights: Float32Array, factors: PstFactors, alpha1: number, alpha2: number): Float32Array {
  const { a, b, rank } = factors;
  const rows = factors.rows.length;
  const columns = factors.columns.length;
  const scores = new Float32Array(weights.length);
  for (let i = 0; i < rows; i++) {
    const row = scores.subarray(i * columns, (i + 1) * columns);
    for (let k = 0; k < rank; k++) {
      const aik = a[i * rank + k];
      if (aik === 0) continue;
      const bk = b.subarray(k * columns, (k + 1) * columns);
      for (let j = 0; j < columns; j++) row[j] += aik * bk[j];
    }
    const ri = factors.rows[i];
    for (let j = 0; j < columns; j++) {
      row[j] = Math.abs(weights[i * columns + j]) + alpha1 * row[j] + alpha2 * (ri + factors.columns[j]);
    }
  }
  return scores;
}

/** Uniform random scores: the control that every importance must beat. */
export function randomScores(size: number, random: () => number): Float32Array {
  return Float32Array.from({ length: size }, random);
}
