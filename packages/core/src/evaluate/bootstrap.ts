import { Random } from '../train/random';

export interface BootstrapOptions {
  /** Default 1000. */
  readonly resamples?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Coverage; default 0.95. */
  readonly level?: number;
}

/** Figures of rows drawn with replacement, one a resample. */
export function bootstrap(
  rows: number,
  statistic: (rows: Uint32Array) => number,
  { resamples = 1000, seed = 0 }: BootstrapOptions = {},
): Float64Array {
  const random = new Random(seed);
  const sample = new Uint32Array(rows);
  return Float64Array.from({ length: resamples }, () => {
    for (let i = 0; i < rows; i++) sample[i] = random.integer(rows);
    return statistic(sample);
  });
}

/**
 * A percentile bootstrap confidence interval (Efron 1979): the statistic on rows drawn with replacement, its lower and
 * upper percentile.
 */
export function bootstrapInterval(
  rows: number,
  statistic: (rows: Uint32Array) => number,
  options: BootstrapOptions = {},
): [low: number, high: number] {
  const { level = 0.95 } = options;
  const figures = bootstrap(rows, statistic, options).sort();
  return [quantile(figures, (1 - level) / 2), quantile(figures, (1 + level) / 2)];
}

/** A quantile of sorted values, interpolated linearly between neighbours. */
export function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}
