/** @file Importance of weights and neurons: what the masks are made from. Higher is more important. */

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
      const aik = a[i * rank + k]!;
      if (aik === 0) continue;
      const bk = b.subarray(k * columns, (k + 1) * columns);
      for (let j = 0; j < columns; j++) row[j]! += aik * bk[j]!;
    }
    const ri = factors.rows[i]!;
    for (let j = 0; j < columns; j++) {
      row[j] = Math.abs(weights[i * columns + j]!) + alpha1 * row[j]! + alpha2 * (ri + factors.columns[j]!);
    }
  }
  return scores;
}

/** Uniform random scores: the control that every importance must beat. */
export function randomScores(size: number, random: () => number): Float32Array {
  return Float32Array.from({ length: size }, random);
}

/**
 * Activation x gradient importance of the neurons of one layer, accumulated over mini-batches (Rasa 2019; Molchanov et
 * al. 2017): I_n = sum over batches of | sum over rows and positions of a_n * dLoss/da_n |.
 */
export class NeuronImportance {
  private readonly sums: Float64Array;

  constructor(readonly neurons: number) {
    this.sums = new Float64Array(neurons);
  }

  /** Adds one batch; both arrays are [..., neurons], row-major. */
  add(activations: Float32Array, gradients: Float32Array): void {
    const batch = new Float64Array(this.neurons);
    for (let i = 0; i < activations.length; i += this.neurons) {
      for (let n = 0; n < this.neurons; n++) batch[n]! += activations[i + n]! * gradients[i + n]!;
    }
    this.addProducts(batch);
  }

  /** Adds one batch whose products a * g are summed already, as a gate's gradient is: d/dz of loss(a * z) at z = 1. */
  addProducts(products: ArrayLike<number>): void {
    for (let n = 0; n < this.neurons; n++) this.sums[n]! += Math.abs(products[n]!);
  }

  /** The scores divided by their L2 norm, so that layers can be compared under one global threshold. */
  normalized(): Float32Array {
    const norm = Math.sqrt(this.sums.reduce((sum, value) => sum + value * value, 0));
    return Float32Array.from(this.sums, (value) => (norm === 0 ? 0 : value / norm));
  }
}
