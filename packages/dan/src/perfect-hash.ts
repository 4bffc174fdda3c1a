/**
 * @file A perfect hash of n-grams: "compress, hash and displace" (Belazzougui, Botelho & Dietzfelbinger 2009). Keys fall
 * into buckets; each bucket gets the first displacement that sends its keys to free slots, largest buckets first. A
 * lookup reads one displacement (2 bytes for about 4 keys) and one fingerprint (4 bytes), which fit the L3 cache where
 * an open-addressing table of a million n-grams does not.
 */
import { mix, rotateLeft } from './hash';
import type { Hash } from './hash';

export interface PerfectHash {
  readonly displacements: Uint16Array;
  /** By slot; an unknown n-gram passes with probability 2^-32. */
  readonly fingerprints: Uint32Array;
}

const KEYS_PER_BUCKET = 4;
/** Slots per key: the last buckets then need some thirty displacements, far below 65,536. */
const SLACK = 1.03;

const fingerprint = ({ a, b }: Hash): number => (a ^ rotateLeft(b, 16)) >>> 0;
const slotOf = (b: number, displacement: number, slots: number): number =>
  mix(b ^ Math.imul(displacement, 0x9e3779b1)) % slots;

/** The slot of an n-gram, or -1 if it is unknown. */
export function findSlot({ displacements, fingerprints }: PerfectHash, ngram: Hash): number {
  if (fingerprints.length === 0) return -1;
  const displacement = displacements[ngram.a % displacements.length];
  const slot = slotOf(ngram.b, displacement, fingerprints.length);
  return fingerprints[slot] === fingerprint(ngram) ? slot : -1;
}

/**
 * Builds the hash of distinct keys, given as parallel arrays.
 * @returns the hash and, by key, its slot.
 * @throws RangeError when two keys are equal in all 64 bits.
 */
export function buildPerfectHash(a: Uint32Array, b: Uint32Array): { hash: PerfectHash; slotOfKey: Uint32Array } {
  const keys = a.length;
  const slots = Math.max(1, Math.ceil(keys * SLACK));
  const bucketCount = Math.max(1, Math.ceil(keys / KEYS_PER_BUCKET));
  const { order, starts } = bucketsBySize(a, bucketCount);

  const displacements = new Uint16Array(bucketCount);
  const slotOfKey = new Uint32Array(keys);
  const taken = new Uint8Array(slots);
  const bySize = Array.from({ length: bucketCount }, (_, bucket) => bucket).sort(
    (x, y) => starts[y + 1] - starts[y] - (starts[x + 1] - starts[x]),
  );
  for (const bucket of bySize) {
    const members = order.subarray(starts[bucket], starts[bucket + 1]);
    const displacement = place(members, b, slots, taken, slotOfKey);
    if (displacement === undefined) throw new RangeError(duplicateMessage(members, a, b));
    displacements[bucket] = displacement;
  }
  return { hash: { displacements, fingerprints: fingerprintsOf(a, b, slotOfKey, taken) }, slotOfKey };
}

/** Keys grouped by bucket: `order[starts[i] .. starts[i + 1]]` are the keys of bucket i. */
function bucketsBySize(a: Uint32Array, bucketCount: number): { order: Uint32Array; starts: Uint32Array } {
  const starts = new Uint32Array(bucketCount + 1);
  for (const hash of a) starts[(hash % bucketCount) + 1]++;
  for (let i = 0; i < bucketCount; i++) starts[i + 1] += starts[i];
  const next = starts.slice(0, bucketCount);
  const order = new Uint32Array(a.length);
  a.forEach((hash, key) => {
    order[next[hash % bucketCount]++] = key;
  });
  return { order, starts };
}

/** Finds the first displacement that gives all members free, different slots, and takes them. */
function place(
  members: Uint32Array,
  b: Uint32Array,
  slots: number,
  taken: Uint8Array,
  slotOfKey: Uint32Array,
): number | undefined {
  for (let displacement = 0; displacement < 65_536; displacement++) {
    let placed = 0;
    for (; placed < members.length; placed++) {
      const slot = slotOf(b[members[placed]], displacement, slots);
      if (taken[slot]) break;
      taken[slot] = 1;
      slotOfKey[members[placed]] = slot;
    }
    if (placed === members.length) return displacement;
    for (let i = 0; i < placed; i++) taken[slotOfKey[members[i]]] = 0;
  }
  return undefined;
}

function fingerprintsOf(a: Uint32Array, b: Uint32Array, slotOfKey: Uint32Array, taken: Uint8Array): Uint32Array {
  const fingerprints = new Uint32Array(taken.length);
  slotOfKey.forEach((slot, key) => {
    fingerprints[slot] = fingerprint({ a: a[key], b: b[key] });
  });
  return fingerprints;
}

function duplicateMessage(members: Uint32Array, a: Uint32Array, b: Uint32Array): string {
  const seen = new Set<string>();
  for (const key of members) {
    const text = `${a[key]}/${b[key]}`;
    if (seen.has(text)) return `Key ${key} is a duplicate: n-grams must be distinct.`;
    seen.add(text);
  }
  return `A bucket of ${members.length} keys found no place in 65,536 tries.`;
}
