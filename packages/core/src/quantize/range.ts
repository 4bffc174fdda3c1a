/** @file From a histogram of activations to the range that int8 covers. */
import { z } from 'zod';
import { unsignedCode } from './affine';
import { BINS } from './histogram';
import type { Histogram } from './histogram';
import type { ActivationGrid } from './static';

export const RANGE_METHODS = ['min-max', 'percentile', 'entropy', 'mse'] as const;

export const rangeSchema = z.strictObject({
  method: z
    .enum(RANGE_METHODS)
    .default('min-max')
    .describe(
      'min-max: all that was seen. percentile: all but rare values. entropy: the range whose int8 distribution has the smallest KL divergence from the float one. mse: the smallest squared error.',
    ),
  percentile: z
    .number()
    .min(50)
    .max(100)
    .default(99.99)
    .describe('Of method percentile: this share of the values lies inside, half of the rest beyond each end.'),
});
export type RangeConfig = z.infer<typeof rangeSchema>;

/** [low, high], low <= 0 <= high. */
export type Range = readonly [low: number, high: number];

/** Codes of an activation. */
const LEVELS = 256;
/** Ends that are tried on each side: fractions k / CANDIDATES of the extreme that was seen. */
const CANDIDATES = 64;

/** The grid of uint8 codes over a range: S = (Rmax - Rmin) / 255, Z = round(-Rmin / S). */
export function gridOf([low, high]: Range): ActivationGrid {
  if (low === high) return { scale: 1, zeroPoint: 0 };
  const scale = Math.fround((high - low) / (LEVELS - 1));
  return { scale, zeroPoint: Math.round(-low / scale) };
}

export function chooseRange(histogram: Histogram, { method, percentile }: RangeConfig): Range {
  if (histogram.binWidth === 0) return [0, 0];
  switch (method) {
    case 'min-max':
      return [histogram.min, histogram.max];
    case 'percentile':
      return percentileRange(histogram, percentile);
    case 'entropy':
      return search(histogram, divergence);
    case 'mse':
      return search(histogram, squaredError);
  }
}

/** Leaves out half of the rest at each end, to the precision of a bin. */
function percentileRange({ counts, min, max, binWidth }: Histogram, percentile: number): Range {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const cut = (total * (1 - percentile / 100)) / 2;
  const edge = (bin: number): number => (bin - BINS / 2) * binWidth;
  let below = 0;
  let first = 0;
  while (below + counts[first] <= cut && first < BINS - 1) below += counts[first++];
  let above = 0;
  let last = BINS - 1;
  while (above + counts[last] <= cut && last > 0) above += counts[last--];
  return [Math.min(0, Math.max(min, edge(first))), Math.max(0, Math.min(max, edge(last + 1)))];
}

/** The occupied bins in rising order. */
interface Bins {
  readonly centres: Float64Array;
  readonly counts: Float64Array;
}

function occupiedBins(histogram: Histogram): Bins {
  const occupied = [...histogram.counts.keys()].filter((bin) => histogram.counts[bin] > 0);
  return {
    centres: Float64Array.from(occupied, (bin) => histogram.centre(bin)),
    counts: Float64Array.from(occupied, (bin) => histogram.counts[bin]),
  };
}

/** Cost of covering [low, high]. */
type Cost = (bins: Bins, range: Range) => number;

/** The best end on one side with the other held, in turns until neither moves. */
function search(histogram: Histogram, cost: Cost): Range {
  const { min, max } = histogram;
  const bins = occupiedBins(histogram);
  let [low, high] = [min, max];
  for (let round = 0; round < 4; round++) {
    const nextHigh = best(max, (end) => cost(bins, [low, end]));
    const nextLow = best(min, (end) => cost(bins, [end, nextHigh]));
    if (nextHigh === high && nextLow === low && round > 0) break;
    [low, high] = [nextLow, nextHigh];
  }
  return [low, high];
}

/** The fraction of `extreme` that costs least; the widest of equals. */
function best(extreme: number, cost: (end: number) => number): number {
  if (extreme === 0) return 0;
  let least = { end: extreme, cost: cost(extreme) };
  for (let k = CANDIDATES - 1; k > 0; k--) {
    const end = (extreme * k) / CANDIDATES;
    const value = cost(end);
    if (value < least.cost) least = { end, cost: value };
  }
  return least.end;
}

const codeOf = (value: number, scale: number, zeroPoint: number): number =>
  unsignedCode(value, scale, zeroPoint, LEVELS - 1);

/** Sum of count (x - x')^2. */
function squaredError({ centres, counts }: Bins, range: Range): number {
  const { scale, zeroPoint } = gridOf(range);
  let sum = 0;
  for (let i = 0; i < centres.length; i++) {
    const error = centres[i] - scale * (codeOf(centres[i], scale, zeroPoint) - zeroPoint);
    sum += counts[i] * error * error;
  }
  return sum;
}

/**
 * KL(P || Q). P: the bins inside the range, what lies outside added to the ends. Q: the counts of P's bins without what
 * lies outside, evened out over the occupied bins of each code: what int8 can still tell apart.
 */
function divergence({ centres, counts }: Bins, [low, high]: Range): number {
  const { scale, zeroPoint } = gridOf([low, high]);
  const first = centres.findIndex((centre) => centre >= low);
  const last = centres.findLastIndex((centre) => centre <= high);
  if (first < 0 || last < first) return Infinity;
  const sums = new Float64Array(LEVELS);
  const occupied = new Float64Array(LEVELS);
  let kept = 0;
  for (let i = first; i <= last; i++) {
    const code = codeOf(centres[i], scale, zeroPoint);
    sums[code] += counts[i];
    occupied[code]++;
    kept += counts[i];
  }
  let below = 0;
  for (let i = 0; i < first; i++) below += counts[i];
  let total = kept + below;
  for (let i = last + 1; i < counts.length; i++) total += counts[i];
  const above = total - kept - below;
  let result = 0;
  for (let i = first; i <= last; i++) {
    const code = codeOf(centres[i], scale, zeroPoint);
    const p = (counts[i] + (i === first ? below : 0) + (i === last ? above : 0)) / total;
    result += p * Math.log((p * kept * occupied[code]) / sums[code]);
  }
  return result;
}
