/** @file Order statistics and bootstrap intervals of timings. */
import { Random } from '../train/random';

/** Nearest-rank percentile (0..100) of unsorted samples; NaN for none. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = Float64Array.from(samples).sort();
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(0, rank - 1)] ?? Number.NaN;
}

export const mean = (samples: readonly number[]): number => samples.reduce((sum, x) => sum + x, 0) / samples.length;

/** The median, the mean of the middle two for an even count. */
export function median(samples: ArrayLike<number>): number {
  const sorted = Float64Array.from(samples).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A figure with its 95 % confidence interval. */
export interface Estimated {
  readonly value: number;
  readonly interval: [number, number];
}

const RESAMPLES = 1000;

/**
 * How many times faster the candidate is: median(baseline) / median(candidate). baseline[i] and candidate[i] were
 * timed one right after the other; the 95 % percentile bootstrap (Efron 1979) draws such pairs, and so keeps what both
 * saw of the machine's other load together.
 */
export function speedup(baseline: readonly number[], candidate: readonly number[]): Estimated {
  const random = new Random(1);
  const a = Float64Array.from(baseline);
  const b = Float64Array.from(candidate);
  const ratios = Array.from({ length: RESAMPLES }, () => {
    for (let k = 0; k < baseline.length; k++) {
      const pick = random.integer(baseline.length);
      a[k] = baseline[pick];
      b[k] = candidate[pick];
    }
    return median(a) / median(b);
  });
  return {
    value: median(baseline) / median(candidate),
    interval: [percentile(ratios, 2.5), percentile(ratios, 97.5)],
  };
}

/** Spread above which two runs of the same work are not comparable any more. */
const NOISY_SPREAD = 0.25;
/** Change of the median from the first half of a run to the second. */
const NOISY_DRIFT = 0.1;
/** Halves smaller than this have no median worth comparing. */
const DRIFT_SAMPLES = 10;

/** Why a series of timings of the same work is not to be trusted, or undefined if it is steady. */
export function noise(samples: readonly number[]): string | undefined {
  const spread = (percentile(samples, 75) - percentile(samples, 25)) / median(samples);
  if (spread > NOISY_SPREAD) return `the middle half of the timings spreads over ${percent(spread)} of their median`;
  const half = samples.length >> 1;
  if (half < DRIFT_SAMPLES) return undefined;
  const drift = Math.abs(median(samples.slice(half)) / median(samples.slice(0, half)) - 1);
  return drift > NOISY_DRIFT ? `the median moved by ${percent(drift)} during the run` : undefined;
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
