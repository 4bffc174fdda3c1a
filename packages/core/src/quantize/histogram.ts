/** @file The distribution of a value, collected batch by batch in constant memory. */

/** Bins of a histogram, half of them on each side of 0. */
export const BINS = 4096;
const HALF = BINS / 2;

/** What a calibration cache stores of a histogram. */
export interface HistogramState {
  readonly min: number;
  readonly max: number;
  readonly binWidth: number;
  /** [bin, count] where the count is not 0. */
  readonly counts: readonly (readonly [number, number])[];
}

/**
 * Bin i holds [(i - BINS/2) w, (i - BINS/2 + 1) w). The width w is a power of two: when a number lies outside, w doubles
 * and neighbouring bins merge, so the result does not depend on how or in which order numbers came.
 */
export class Histogram {
  min = 0;
  max = 0;
  /** 0 until a number other than 0 was seen. */
  binWidth = 0;
  readonly counts = new Float64Array(BINS);

  static from({ min, max, binWidth, counts }: HistogramState): Histogram {
    const histogram = new Histogram();
    Object.assign(histogram, { min, max, binWidth });
    for (const [bin, count] of counts) histogram.counts[bin] = count;
    return histogram;
  }

  /** The range always holds 0. Numbers that are not finite are left out. */
  add(values: Float32Array): void {
    let [low, high] = [this.min, this.max];
    for (const value of values) {
      if (value - value !== 0) continue; // infinite, or no number
      if (value < low) low = value;
      if (value > high) high = value;
    }
    this.min = low;
    this.max = high;
    this.widen(Math.max(-low, high));
    const perWidth = this.binWidth === 0 ? 0 : 1 / this.binWidth;
    const { counts } = this;
    for (const value of values) {
      if (value - value !== 0) continue; // infinite, or no number
      const scaled = value * perWidth;
      const towardsZero = scaled | 0;
      counts[(towardsZero > scaled ? towardsZero - 1 : towardsZero) + HALF]++;
    }
  }

  get state(): HistogramState {
    const counts = [...this.counts].flatMap((count, bin): [number, number][] => (count > 0 ? [[bin, count]] : []));
    return { min: this.min, max: this.max, binWidth: this.binWidth, counts };
  }

  /** Middle of a bin, within the range seen. */
  centre(bin: number): number {
    return Math.min(this.max, Math.max(this.min, (bin - HALF + 0.5) * this.binWidth));
  }

  /** Makes room for numbers up to `magnitude`. */
  private widen(magnitude: number): void {
    if (magnitude === 0) return;
    // Strictly above, because the last bin ends before HALF * w.
    const needed = 2 ** (Math.floor(Math.log2(magnitude)) + 1) / HALF;
    if (this.binWidth === 0) this.binWidth = needed;
    for (; this.binWidth < needed; this.binWidth *= 2) this.mergePairs();
  }

  /** Bins 2k and 2k + 1, counted from the centre, become bin k. */
  private mergePairs(): void {
    const { counts } = this;
    for (let k = 0; k < HALF; k++) {
      const [a, b] = [HALF + 2 * k, HALF - 1 - 2 * k];
      counts[HALF + k] = a + 1 < BINS ? counts[a] + counts[a + 1] : 0;
      counts[HALF - 1 - k] = b - 1 >= 0 ? counts[b] + counts[b - 1] : 0;
    }
  }
}
