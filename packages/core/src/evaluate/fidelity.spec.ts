import { fidelity } from './fidelity';

/** Logits whose softmax is the given distribution. */
const logits = (...rows: number[][]): Float32Array =>
  Float32Array.from(rows.flat(), (p) => Math.log(Math.max(p, 1e-30)));

describe('fidelity', () => {
  it('is 1 for equal models and 0 for opposite ones', () => {
    const sure = logits([1, 0], [0, 1]);
    const same = fidelity(sure, sure, 2);
    expect(same).toEqual({ labels: 1, probabilities: 1 });
    const opposite = fidelity(sure, logits([0, 1], [1, 0]), 2);
    expect(opposite.labels).toBe(0);
    expect(opposite.probabilities).toBeCloseTo(0, 6);
  });

  it('follows the Jensen-Shannon divergence where classes agree', () => {
    // m = (0.75, 0.25); KL((0.9, 0.1) || m) = 0.1045 bits, KL((0.6, 0.4) || m) = 0.0781 bits.
    const p = [
      0.9 * Math.log2(0.9 / 0.75) + 0.1 * Math.log2(0.1 / 0.25),
      0.6 * Math.log2(0.6 / 0.75) + 0.4 * Math.log2(0.4 / 0.25),
    ];
    const { labels, probabilities } = fidelity(logits([0.9, 0.1]), logits([0.6, 0.4]), 2);
    expect(labels).toBe(1);
    expect(probabilities).toBeCloseTo(1 - Math.sqrt((p[0] + p[1]) / 2), 6);
  });
});
