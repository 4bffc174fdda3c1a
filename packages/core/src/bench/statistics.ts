/** @file Order statistics and bootstrap intervals of timings. */

/** Nearest-rank percentile (0..100) of unsorted samples; NaN for none. */
export function percentile(samples: readonly number[], percent: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = Float64Array.from(samples).sort();
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(0, rank - 1)];
}

export const mean = (samples: readonly number[]): number => samples.reduce((sum, x) => sum + x, 0) / samples.length;

/** The median, interpolated between the middle two of an even count. */
export function median(samples: readonly number[]): number {
  const sorted = Float64Array.from(samples).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export interface Interval {
  readonly value: number;
  /** 95 % percentile bootstrap. */
  readonly interval: readonly [number, number];
}

/** Rounds measured one right after the other: baseline[i] and candidate[i] saw the same state of the machine. */
export interface PairedSamples {
  readonly baseline: readonly number[];
  readonly candidate: readonly number[];
}

/**
 * How many times faster the candidate is: median(baseline) / median(candidate), with a 95 % percentile bootstrap over
 * the pairs (Efron 1979), which keeps what both saw of the machine's other load together.
 */
export function speedup(samples: PairedSamples, resamples = 1000, seed = 1): Interval {
  const { baseline, candidate } = samples;
  const random = lcg(seed);
  const ratios: number[] = [];
  const a = Array.from(baseline);
  const b = Array.from(candidate);
  for (let i = 0; i < resamples; i++) {
    for (let k = 0; k < baseline.length; k++) {
      const pick = Math.floor(random() * baseline.length);
      a[k] = baseline[pick];
      b[k] = candidate[pick];
    }
    ratios.push(median(a) / median(b));
  }
  return {
    value: median(baseline) / median(candidate),
    interval: [percentile(ratios, 2.5), percentile(ratios, 97.5)],
  };
}

/** Numerical Recipes' 32-bit linear congruential generator, uniform in [0, 1): enough for resampling. */
function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Spread above which two runs of the same work are not comparable any more. */
const NOISY_SPREAD = 0.25;
/** Change of the median from the first half of a run to the second. */
const NOISY_DRIFT = 0.1;

/** Why a series of timings of the same work is not to be trusted, or undefined if it is steady. */
export function noise(samples: readonly number[]): string | undefined {
  const middle = median(samples);
  const spread = (percentile(samples, 75) - percentile(samples, 25)) / middle;
  if (spread > NOISY_SPREAD) return `the middle half of the timings spreads over ${percent(spread)} of their median`;
  const half = samples.length >> 1;
  const drift = Math.abs(median(samples.slice(half)) / median(samples.slice(0, half)) - 1);
  if (samples.length >= 8 && drift > NOISY_DRIFT) return `the median moved by ${percent(drift)} during the run`;
  return undefined;
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
