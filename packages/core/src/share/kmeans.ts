/** @file k-means of numbers: Lloyd's algorithm on sorted values, started by k-means++ (Arthur & Vassilvitskii 2007). */
import type { Random } from '../train/random';

export interface Clusters {
  /** [k], ascending; equal neighbours where there are fewer different values than clusters. */
  readonly centroids: Float32Array;
  /** Cluster of each value: the one with the nearest centroid. */
  readonly codes: Uint8Array;
}

/** Values that starting points are drawn from; more would not change them much. */
const SEED_VALUES = 2 ** 16;
/** Starts; the best end counts. */
const STARTS = 3;
const MAX_ROUNDS = 200;

/**
 * Clusters numbers so that the sum of squared distances to their centroids is small. In one dimension clusters are
 * runs of the sorted values, so a round of Lloyd's algorithm costs k searches and no pass over the values.
 * @param k 1..256
 */
export function kMeans(values: Float32Array, k: number, random: Random): Clusters {
  const sorted = values.slice().sort();
  const sums = prefixSums(sorted);
  let best: { centroids: Float64Array; score: number } = { centroids: new Float64Array(k), score: -Infinity };
  for (let start = 0; start < STARTS; start++) {
    const centroids = lloyd(sorted, sums, startingPoints(sorted, k, random));
    const score = between(sorted, sums, centroids);
    if (score > best.score) best = { centroids, score };
  }
  const centroids = Float32Array.from(best.centroids);
  return { centroids, codes: nearest(values, centroids) };
}

/** The nearest centroid of each value; `centroids` ascending. */
export function nearest(values: Float32Array, centroids: Float32Array): Uint8Array {
  const k = centroids.length;
  const borders = Float64Array.from({ length: k - 1 }, (_, j) => (centroids[j] + centroids[j + 1]) / 2);
  const codes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    let [low, high] = [0, k - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[i] > borders[middle]) low = middle + 1;
      else high = middle;
    }
    codes[i] = low;
  }
  return codes;
}

/** k values drawn with probability proportional to the squared distance to the nearest that is drawn already. */
function startingPoints(sorted: Float32Array, k: number, random: Random): Float64Array {
  const step = Math.max(1, sorted.length / SEED_VALUES);
  const values = Float64Array.from(
    { length: Math.floor(sorted.length / step) },
    (_, i) => sorted[Math.floor(i * step)],
  );
  const points = new Float64Array(k);
  const distances = new Float64Array(values.length).fill(Infinity);
  points[0] = values[random.integer(values.length)];
  for (let drawn = 1; drawn < k; drawn++) {
    let total = 0;
    for (let i = 0; i < values.length; i++) {
      distances[i] = Math.min(distances[i], (values[i] - points[drawn - 1]) ** 2);
      total += distances[i];
    }
    let left = random.uniform() * total;
    let at = 0;
    while (at < values.length - 1 && left > distances[at]) left -= distances[at++];
    points[drawn] = values[at];
  }
  return points.sort();
}

/** Moves ascending centroids to the means of their clusters until the clusters stay. Empty clusters keep their place. */
function lloyd(sorted: Float32Array, sums: Float64Array, centroids: Float64Array): Float64Array {
  let ends: number[] = [];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const next = clusterEnds(sorted, centroids);
    if (next.every((end, j) => end === ends[j])) break;
    ends = next;
    ends.forEach((end, j) => {
      const start = j === 0 ? 0 : ends[j - 1];
      if (end > start) centroids[j] = (sums[end] - sums[start]) / (end - start);
    });
  }
  return centroids;
}

/** Where the run of each cluster ends in the sorted values. */
function clusterEnds(sorted: Float32Array, centroids: Float64Array): number[] {
  const k = centroids.length;
  return Array.from({ length: k }, (_, j) =>
    j === k - 1 ? sorted.length : countUpTo(sorted, (centroids[j] + centroids[j + 1]) / 2),
  );
}

/** Number of sorted values that are at most `border`. */
function countUpTo(sorted: Float32Array, border: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= border) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sum over clusters of n mean^2: the squared error is the sum of squares, which is the same for all, less this. */
function between(sorted: Float32Array, sums: Float64Array, centroids: Float64Array): number {
  const ends = clusterEnds(sorted, centroids);
  return ends.reduce((score, end, j) => {
    const start = j === 0 ? 0 : ends[j - 1];
    return end > start ? score + (sums[end] - sums[start]) ** 2 / (end - start) : score;
  }, 0);
}

function prefixSums(values: Float32Array): Float64Array {
  const sums = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) sums[i + 1] = sums[i] + values[i];
  return sums;
}
