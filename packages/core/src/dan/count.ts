/** @file Counting the n-grams of any amount of text in bounded memory. */
import { invalid, limitExceeded } from '../errors';
import { BYTES_PER_SLOT, CountTable } from './count-table';
import { walkNgrams } from './walk';

/** The table has 2^bits slots. */
const LEAST_BITS = 16;
const FIRST_BITS = 18;
const LOAD = 0.7;
/** Of the memory, what the table may take: beside it stand the smaller one it grows from, and the waiting n-grams. */
const TABLE_SHARE = 0.6;
/** N-grams that wait for the same part of the table, and how much larger than that the part is. */
const TOGETHER = 2 ** 13;
const PART_BITS = 16;
const MOST_PARTS = 2 ** 8;
/** N-grams that are counted without a look at how full the table is. */
const PIECE = 2 ** 9;
/** Counts above this are so few that they are sorted one against another. */
const COUNTED_SORT = 2 ** 16;

/** The most frequent n-grams: hashes and counts, most frequent first. */
export interface CountedNgrams {
  readonly a: Uint32Array;
  readonly b: Uint32Array;
  readonly counts: Uint32Array;
}

/**
 * Counts by 64-bit hash in a table that grows while it may; at its bound, n-grams with the lowest counts are dropped,
 * ever higher ones as often as needed (lossy counting, Manku & Motwani 2002). A count is then too low by at most
 * `error`; without drops all counts are exact.
 */
export class NgramCounter {
  private table: CountTable;
  private waiting: Waiting;
  private readonly maxBits: number;
  private lost = 0;

  /**
   * @param expected how many different n-grams there may be: a table that has not to grow is filled a quarter faster
   * @throws limit `distill.count-memory` below what the smallest table takes
   */
  constructor(
    private readonly minOrder: number,
    private readonly maxOrder: number,
    memoryBytes = 2 ** 29,
    expected = 0,
  ) {
    if (minOrder < 1 || maxOrder < minOrder) {
      throw invalid('distill.ngrams', `N-grams of ${minOrder} to ${maxOrder} words do not exist.`, {
        field: 'student.ngrams',
      });
    }
    this.maxBits = Math.floor(Math.log2((memoryBytes * TABLE_SHARE) / BYTES_PER_SLOT));
    if (this.maxBits < LEAST_BITS) {
      throw limitExceeded('distill.count-memory', 'Counting n-grams needs at least 2 MiB of memory.', {
        field: 'student.countMegabytes',
      });
    }
    const bits = Math.min(this.maxBits, Math.max(FIRST_BITS, Math.ceil(Math.log2((expected + 1) / LOAD))));
    this.table = new CountTable(bits);
    this.waiting = new Waiting(bits);
  }

  /** Largest amount by which a count can be too low. */
  get error(): number {
    return this.lost;
  }

  /** Distinct n-grams at present. */
  get size(): number {
    this.countAll();
    return this.table.size;
  }

  /** Counts the n-grams of one text. @param tokens pairs of a token's two hashes, as `TokenHasher` gives them */
  add(tokens: Uint32Array): void {
    walkNgrams(tokens, this.minOrder, this.maxOrder, (a, b) => {
      const full = this.waiting.push(a, b);
      if (full >= 0) this.count(full);
    });
  }

  /** The `limit` most frequent; among equally frequent ones those with the smallest hashes, so equal texts give equal results. */
  top(limit: number): CountedNgrams {
    this.countAll();
    const least = this.countOfRank(limit);
    const { a, b, counts } = this.from(least);
    const order = byFrequency(counts).subarray(0, limit);
    return { a: order.map((i) => a[i]), b: order.map((i) => b[i]), counts: order.map((i) => counts[i]) };
  }

  /** The count that the n-gram of this rank has, or 1 if there are not so many. */
  private countOfRank(rank: number): number {
    const histogram = new Uint32Array(COUNTED_SORT);
    this.table.each((_, __, count) => histogram[Math.min(count, COUNTED_SORT - 1)]++);
    let seen = 0;
    for (let count = COUNTED_SORT - 1; count > 0; count--) {
      seen += histogram[count];
      if (seen >= rank) return count;
    }
    return 1;
  }

  /** N-grams with a count of at least `least`, ascending by their hashes. */
  private from(least: number): CountedNgrams {
    const { size } = this.table;
    const [a, b, counts] = [new Uint32Array(size), new Uint32Array(size), new Uint32Array(size)];
    let used = 0;
    this.table.each((signedA, signedB, count) => {
      if (count < least) return;
      const [hashA, hashB] = [signedA >>> 0, signedB >>> 0];
      // The table keeps the order but for neighbours.
      let at = used++;
      for (; at > 0 && (a[at - 1] > hashA || (a[at - 1] === hashA && b[at - 1] > hashB)); at--) {
        a[at] = a[at - 1];
        b[at] = b[at - 1];
        counts[at] = counts[at - 1];
      }
      a[at] = hashA;
      b[at] = hashB;
      counts[at] = count;
    });
    return { a: a.subarray(0, used), b: b.subarray(0, used), counts: counts.subarray(0, used) };
  }

  private countAll(): void {
    for (let part = 0; part < this.waiting.parts; part++) this.countPart(part);
    if (this.isFull) this.makeRoom();
  }

  private count(part: number): void {
    this.countPart(part);
    if (!this.isFull) return;
    // The others wait for parts of the table that is about to go; together they are an eighth of it.
    for (let other = 0; other < this.waiting.parts; other++) this.countPart(other);
    this.makeRoom();
  }

  private countPart(part: number): void {
    const { pairs, from, to } = this.waiting.take(part);
    for (let at = from; at < to; at += 2 * PIECE) this.table.add(pairs, at, Math.min(to, at + 2 * PIECE));
  }

  private get isFull(): boolean {
    return this.table.size > LOAD * this.table.capacity;
  }

  private makeRoom(): void {
    while (this.isFull && this.table.bits < this.maxBits) {
      this.table = this.table.doubled();
      this.waiting = new Waiting(this.table.bits);
    }
    if (!this.isFull) return;
    // At least half must go, or the table would fill up again at once.
    const median = this.countOfRank(this.table.size >> 1);
    this.lost += median;
    this.table.drop(median);
  }
}

/** Positions by descending count; among equal counts in the order that they have. */
function byFrequency(counts: Uint32Array): Uint32Array<ArrayBuffer> {
  const bucketOf = (count: number): number => COUNTED_SORT - 1 - Math.min(count, COUNTED_SORT - 1);
  const starts = new Uint32Array(COUNTED_SORT + 1);
  for (const count of counts) starts[bucketOf(count) + 1]++;
  const often = starts[1];
  for (let bucket = 0; bucket < COUNTED_SORT; bucket++) starts[bucket + 1] += starts[bucket];
  const order = new Uint32Array(counts.length);
  counts.forEach((count, i) => {
    order[starts[bucketOf(count)]++] = i;
  });
  order.subarray(0, often).sort((x, y) => counts[y] - counts[x] || x - y);
  return order;
}

/** N-grams that are yet to be counted, by the part of the table that they belong to. */
class Waiting {
  readonly parts: number;
  private readonly shift: number;
  private readonly pairs: Int32Array;
  private readonly ends: Int32Array;

  /** @param bits of the table */
  constructor(bits: number) {
    this.parts = Math.min(MOST_PARTS, 2 ** (bits - PART_BITS));
    // A shift by 32 would be none at all.
    this.shift = 31 - Math.log2(this.parts);
    this.pairs = new Int32Array(2 * TOGETHER * this.parts);
    this.ends = Int32Array.from({ length: this.parts }, (_, part) => 2 * TOGETHER * part);
  }

  /** @returns the part that is full with it, or -1 */
  push(a: number, b: number): number {
    const { pairs, ends } = this;
    const part = (a >>> 1) >>> this.shift;
    const at = ends[part];
    pairs[at] = a;
    pairs[at + 1] = b;
    ends[part] = at + 2;
    return at + 2 === 2 * TOGETHER * (part + 1) ? part : -1;
  }

  /** Empties a part. */
  take(part: number): { pairs: Int32Array; from: number; to: number } {
    const from = 2 * TOGETHER * part;
    const to = this.ends[part];
    this.ends[part] = from;
    return { pairs: this.pairs, from, to };
  }
}
