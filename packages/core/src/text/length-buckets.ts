import { Random, streamKey } from '../train/random';

/** Sequence lengths that batches are padded to. Steps of a third to a half keep padding small and graphs few. */
export const DEFAULT_BUCKETS: readonly number[] = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];

/** Which rows form which batch of one epoch. */
export interface BatchPlan {
  /** Row numbers of each batch, at most the batch size; only the last batch of the longest bucket may have fewer. */
  readonly batches: readonly Uint32Array[];
  /** Sequence length of each batch. */
  readonly sequences: readonly number[];
}

/** The buckets needed for rows up to `longest` tokens, none above `maxLength`, the last one covering `longest`. */
export function bucketsFor(longest: number, maxLength: number, buckets: readonly number[] = DEFAULT_BUCKETS): number[] {
  const usable = [...buckets.filter((bucket) => bucket < maxLength), maxLength].sort((a, b) => a - b);
  const last = usable.findIndex((bucket) => bucket >= longest);
  return last < 0 ? usable : usable.slice(0, last + 1);
}

/**
 * Plans one epoch. Rows are grouped by the least bucket that holds them; what does not fill a batch moves up to the
 * next bucket, so that every batch is full but one, and one compiled graph per bucket serves the whole epoch.
 * @param order Seed and epoch, which fix the shuffled order on every machine; undefined keeps the rows' order.
 */
export function planBatches(
  lengths: Uint32Array,
  batchSize: number,
  buckets: readonly number[],
  order: { readonly seed: number; readonly epoch: number } | undefined,
): BatchPlan {
  const random =
    order && new Random([...streamKey(order.seed, order.epoch, 1), ...streamKey(order.seed, order.epoch, 2)]);
  const rows = random ? random.permutation(lengths.length) : Uint32Array.from(lengths, (_, row) => row);
  const grouped = groupByBucket(rows, lengths, buckets);
  const batches: { rows: Uint32Array; sequence: number }[] = [];
  let carried = new Uint32Array(0);
  grouped.forEach((own, bucket) => {
    if (own.length === 0) return;
    const group = concat(carried, own);
    const isLast = grouped.slice(bucket + 1).every((later) => later.length === 0);
    const end = isLast ? group.length : group.length - (group.length % batchSize);
    for (let start = 0; start < end; start += batchSize) {
      batches.push({ rows: group.subarray(start, Math.min(end, start + batchSize)), sequence: buckets[bucket] });
    }
    carried = group.slice(end);
  });
  if (random) random.shuffle(batches);
  return { batches: batches.map(({ rows: batch }) => batch), sequences: batches.map(({ sequence }) => sequence) };
}

/** Rows by bucket, each in the given order (a counting sort, as there may be millions). */
function groupByBucket(rows: Uint32Array, lengths: Uint32Array, buckets: readonly number[]): Uint32Array[] {
  const longest = buckets.at(-1) ?? 0;
  const bucketOf = Uint16Array.from({ length: longest + 1 }, (_, length) => buckets.findIndex((b) => b >= length));
  const counts = new Uint32Array(buckets.length);
  for (const row of rows) counts[bucketOf[Math.min(lengths[row], longest)]]++;
  const groups = Array.from(counts, (count) => new Uint32Array(count));
  counts.fill(0);
  for (const row of rows) {
    const bucket = bucketOf[Math.min(lengths[row], longest)];
    groups[bucket][counts[bucket]++] = row;
  }
  return groups;
}

function concat(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (a.length === 0) return b;
  const both = new Uint32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
