/** @file Exact k-smallest selection over several arrays as if they were one, in linear time. */

/** Order-preserving map of float32 bits to int32, its own inverse: the bits of negative numbers below the sign are flipped. */
const sortable = (bits: number): number => bits ^ ((bits >> 31) & 0x7fffffff);

/** Bins of 16 bits, from the most negative upper halves. */
const HALF = 1 << 15;

export interface SmallestSelection {
  /** Largest selected value; -Infinity when nothing is selected. */
  readonly threshold: number;
  /** For each array: 1 where the element is among the `count` smallest. */
  readonly selected: readonly Uint8Array[];
}

/**
 * Marks the `count` smallest elements over all arrays; among equal values the earlier position wins (arrays in order,
 * then index). Two histogram passes over 16 bits of the float each find the threshold, one more marks.
 *
 * @param arrays float32 scores without NaN.
 */
export function selectSmallest(arrays: readonly Float32Array[], count: number): SmallestSelection {
  const selected = arrays.map((array) => new Uint8Array(array.length));
  if (count <= 0) return { threshold: -Infinity, selected };

  const keys = arrays.map((array) => new Int32Array(array.buffer, array.byteOffset, array.length));
  const high = new Uint32Array(1 << 16);
  for (const key of keys) for (let i = 0; i < key.length; i++) high[(sortable(key[i]) >> 16) + HALF]++;
  const [highBin, below] = findBin(high, count);

  const low = new Uint32Array(1 << 16);
  for (const key of keys) {
    for (let i = 0; i < key.length; i++) {
      const k = sortable(key[i]);
      if (k >> 16 === highBin - HALF) low[k & 0xffff]++;
    }
  }
  const [lowBin, belowInBin] = findBin(low, count - below);

  const thresholdKey = ((highBin - HALF) << 16) | lowBin;
  let tiesLeft = count - below - belowInBin;
  keys.forEach((key, a) => {
    const marks = selected[a];
    for (let i = 0; i < key.length; i++) {
      const k = sortable(key[i]);
      if (k < thresholdKey) marks[i] = 1;
      else if (k === thresholdKey && tiesLeft > 0) {
        marks[i] = 1;
        tiesLeft--;
      }
    }
  });
  return { threshold: valueOf(thresholdKey), selected };
}

/** The bin that holds the `rank`-th element (from 1), and how many elements lie in the bins before it. */
function findBin(histogram: Uint32Array, rank: number): [bin: number, below: number] {
  let below = 0;
  for (let bin = 0; bin < histogram.length; bin++) {
    if (below + histogram[bin] >= rank) return [bin, below];
    below += histogram[bin];
  }
  throw new RangeError(`Cannot select ${rank} of ${below} elements.`);
}

const valueOf = (key: number): number => new Float32Array(Int32Array.of(sortable(key)).buffer)[0];
