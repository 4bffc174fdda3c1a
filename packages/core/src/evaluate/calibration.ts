/**
 * Expected calibration error (Guo et al. 2017): rows are sorted by the probability p of their predicted class into
 * bins of equal width, and ECE = sum over bins of (rows in bin / rows) * |accuracy - mean p|.
 * @param probabilities [rows, classes]
 */
export function expectedCalibrationError(
  probabilities: Float64Array,
  classes: number,
  labels: ArrayLike<number>,
  bins = 15,
): number {
  const rows = new Float64Array(bins);
  const confidence = new Float64Array(bins);
  const correct = new Float64Array(bins);
  for (let row = 0; row < labels.length; row++) {
    let best = 0;
    for (let k = 1; k < classes; k++) {
      if (probabilities[row * classes + k] > probabilities[row * classes + best]) best = k;
    }
    const p = probabilities[row * classes + best];
    const bin = Math.min(bins - 1, Math.max(0, Math.ceil(p * bins) - 1)); // bins are (low, high]
    rows[bin]++;
    confidence[bin] += p;
    if (labels[row] === best) correct[bin]++;
  }
  let sum = 0;
  for (let bin = 0; bin < bins; bin++) sum += Math.abs(correct[bin] - confidence[bin]);
  return labels.length === 0 ? Number.NaN : sum / labels.length;
}
