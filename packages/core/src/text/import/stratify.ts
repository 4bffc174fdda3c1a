import { Random } from '../../train/random';

/**
 * Draws rows for other splits so that every class keeps its share in each: of a class of n rows, a split of share s
 * gets n s rows, rounded such that the split as a whole has its share too. A class keeps at least one row of its own.
 * @param classes Class index of each row.
 * @param shares Share of each split, together below 1.
 * @returns For each row 0 (it stays) or 1 + index of the split.
 */
export function stratify(classes: Uint32Array, shares: readonly number[], seed: number): Uint8Array {
  const assigned = new Uint8Array(classes.length);
  const random = new Random(seed);
  const taken = shares.map(() => 0);
  let seen = 0;
  for (const rows of rowsByClass(classes)) {
    random.shuffle(rows);
    seen += rows.length;
    let next = 0;
    shares.forEach((share, split) => {
      // What the split lacks over all classes so far: rounding errors do not add up.
      const wanted = Math.round(share * seen) - taken[split];
      const count = Math.max(0, Math.min(wanted, Math.ceil(share * rows.length), rows.length - 1 - next));
      for (const row of rows.subarray(next, next + count)) assigned[row] = split + 1;
      next += count;
      taken[split] += count;
    });
  }
  return assigned;
}

function rowsByClass(classes: Uint32Array): Uint32Array[] {
  const counts: number[] = [];
  for (const index of classes) counts[index] = (counts[index] ?? 0) + 1;
  const groups = Array.from(counts, (count) => new Uint32Array(count ?? 0));
  const filled = groups.map(() => 0);
  classes.forEach((index, row) => (groups[index][filled[index]++] = row));
  return groups;
}
