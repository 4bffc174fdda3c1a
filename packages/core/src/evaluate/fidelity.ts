/** @file How far a compressed model answers as its original does, right or wrong. */
import { argmaxRows, softmaxRows } from './classification';

/** Loyalty of a model to its original (Xu et al. 2021, arXiv:2109.03228), both in 0..1. */
export interface Fidelity {
  /** Share of rows with the same predicted class. */
  readonly labels: number;
  /** Mean over rows of 1 - sqrt(JS(p, q)), JS being the Jensen-Shannon divergence in bits. */
  readonly probabilities: number;
}

/**
 * Compares two classifiers' logits on the same rows.
 * @param original [rows, classes]
 * @param candidate [rows, classes], classes in the same order
 */
export function fidelity(original: Float32Array, candidate: Float32Array, classes: number): Fidelity {
  const rows = original.length / classes;
  const [first, second] = [argmaxRows(original, classes), argmaxRows(candidate, classes)];
  const [p, q] = [softmaxRows(original, classes), softmaxRows(candidate, classes)];
  let same = 0;
  let loyalty = 0;
  for (let row = 0; row < rows; row++) {
    if (first[row] === second[row]) same++;
    const start = row * classes;
    loyalty += 1 - Math.sqrt(jensenShannon(p.subarray(start, start + classes), q.subarray(start, start + classes)));
  }
  return { labels: same / rows, probabilities: loyalty / rows };
}

/** JS(p, q) = (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, in bits: 0 for equal, 1 for disjoint distributions. */
function jensenShannon(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const mean = (p[i] + q[i]) / 2;
    if (p[i] > 0) sum += p[i] * Math.log2(p[i] / mean);
    if (q[i] > 0) sum += q[i] * Math.log2(q[i] / mean);
  }
  return Math.min(1, Math.max(0, sum / 2)); // rounding may leave the range
}
