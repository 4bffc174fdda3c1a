/** @file Counting the n-grams of any amount of text in bounded memory. */
import { invalid, limitExceeded } from '../errors';
import { walkNgrams } from './walk';

const EMPTY = 0;
/** Words of a slot: the two hashes, the count, and one that keeps slots from crossing cache lines. */
const SLOT = 4;
const BYTES_PER_SLOT = 4 * SLOT;
const FIRST_CAPACITY = 2 ** 16;
const LOAD = 0.7;
/** N-grams whose slots are fetched together. */
const TOGETHER = 512;

/** The most frequent n-grams: hashes and counts, most frequent first. */
export interface CountedNgrams {
  readonly a: Uint32Array;
  readonly b: Uint32Array;
  readonly counts: Uint32Array;
}

/**
 * A table of 64-bit hashes with counts (open addressing). It grows while it may; at its bound, n-grams with the lowest
 * counts are dropped, ever higher ones as often as needed (lossy counting, Manku & Motwani 2002). A count is then too
 * low by at most `error`; without drops all counts are exact.
 */
export class NgramCounter {
  private table = new Int32Array(SLOT * FIRST_CAPACITY);
  private used = 0;
  private readonly waiting = new Waiting();
  private readonly maxCapacity: number;
  private lost = 0;

  /** @throws limit `distill.count-memory` below what the smallest table takes */
  constructor(
    private readonly minOrder: number,
    private readonly maxOrder: number,
    memoryBytes = 2 ** 29,
  ) {
    if (minOrder < 1 || maxOrder < minOrder) {
      throw invalid('distill.ngrams', `N-grams of ${minOrder} to ${maxOrder} words do not exist.`, {
        field: 'student.ngrams',
      });
    }
    // While the table grows, old and new stand side by side; the last step may be a doubling.
    this.maxCapacity = 2 ** Math.floor(Math.log2((memoryBytes * 2) / 3 / BYTES_PER_SLOT));
    if (this.maxCapacity >= FIRST_CAPACITY) return;
    throw limitExceeded('distill.count-memory', 'Counting n-grams needs at least 2 MiB of memory.', {
      field: 'student.countMemory',
    });
  }

  /** Largest amount by which a count can be too low. */
  get error(): number {
    return this.lost;
  }

  /** Distinct n-grams at present. */
  get size(): number {
    this.incrementAll(this.waiting);
    return this.used;
  }

  /** Counts the n-grams of one text. @param tokens pairs of a token's two hashes, as `TokenHasher` gives them */
  add(tokens: Uint32Array): void {
    const { waiting } = this;
    walkNgrams(tokens, this.minOrder, this.maxOrder, (a, b) => {
      if (waiting.push(a, b, 1)) this.incrementAll(waiting);
    });
  }

  /** The `limit` most frequent; among equally frequent ones those with the smallest hashes, so equal texts give equal results. */
  top(limit: number): CountedNgrams {
    this.incrementAll(this.waiting);
    const { table } = this;
    const slots = this.frequent(limit);
    slots.sort((x, y) => table[y + 2] - table[x + 2] || table[x] - table[y] || table[x + 1] - table[y + 1]);
    const chosen = slots.subarray(0, limit);
    const pick = (word: number): Uint32Array => Uint32Array.from(chosen, (slot) => table[slot + word]);
    return { a: pick(0), b: pick(1), counts: pick(2) };
  }

  /** Slots that can be among the first `limit`: above the count that the last of them has, or equal with small hashes. */
  private frequent(limit: number): Uint32Array {
    const { table } = this;
    const sorted = this.sortedCounts();
    const threshold = sorted[Math.max(0, sorted.length - limit)] ?? 0;
    const above = this.slots((slot) => table[slot + 2] > threshold).length;
    const equal = this.slots((slot) => table[slot + 2] === threshold);
    const cut = Int32Array.from(equal, (slot) => table[slot]).sort()[limit - above - 1] ?? 2 ** 31 - 1;
    return this.slots((slot) => table[slot + 2] > threshold || (table[slot + 2] === threshold && table[slot] <= cut));
  }

  /** Offsets of the filled slots that `keep` lets through. */
  private slots(keep: (slot: number) => boolean): Uint32Array {
    const found = new Uint32Array(this.used);
    let count = 0;
    for (let slot = 0; slot < this.table.length; slot += SLOT) {
      if (this.table[slot + 2] !== EMPTY && keep(slot)) found[count++] = slot;
    }
    return found.subarray(0, count);
  }

  private sortedCounts(): Uint32Array {
    return this.slots(() => true)
      .map((slot) => this.table[slot + 2])
      .sort();
  }

  /**
   * A slot is hardly ever in the cache, and whether it is empty is anybody's guess: branch by branch, each n-gram would
   * wait for its own. Reading all of them first, without a branch, lets their waits overlap.
   */
  private incrementAll(waiting: Waiting): void {
    const { a, b, by, count } = waiting;
    const { table } = this;
    const mask = table.length - 1;
    for (let i = 0; i < count; i++) waiting.fetched ^= table[slotOf(a[i], b[i], mask)];
    for (let i = 0; i < count; i++) this.increment(a[i], b[i], by[i]);
    waiting.count = 0;
  }

  private increment(a: number, b: number, by: number): void {
    const { table } = this;
    const mask = table.length - 1;
    let slot = slotOf(a, b, mask);
    while (table[slot + 2] !== EMPTY) {
      if (table[slot] === a && table[slot + 1] === b) {
        table[slot + 2] += by;
        return;
      }
      slot = (slot + SLOT) & mask;
    }
    table[slot] = a;
    table[slot + 1] = b;
    table[slot + 2] = by;
    if (++this.used > LOAD * this.capacity) this.makeRoom();
  }

  private get capacity(): number {
    return this.table.length / SLOT;
  }

  private makeRoom(): void {
    if (this.capacity < this.maxCapacity) {
      this.rebuild(Math.min(this.capacity * 4, this.maxCapacity), 0);
      return;
    }
    // At least half must go, or the table would fill up again at once.
    const sorted = this.sortedCounts();
    const highest = sorted[sorted.length >> 1];
    this.lost += highest;
    this.rebuild(this.capacity, highest);
  }

  /** Moves what has a count above `dropped` to a new table. */
  private rebuild(capacity: number, dropped: number): void {
    const old = this.table;
    this.table = new Int32Array(SLOT * capacity);
    this.used = 0;
    const waiting = new Waiting();
    for (let slot = 0; slot < old.length; slot += SLOT) {
      if (old[slot + 2] <= dropped) continue;
      if (waiting.push(old[slot], old[slot + 1], old[slot + 2])) this.incrementAll(waiting);
    }
    this.incrementAll(waiting);
  }
}

/** Where an n-gram's search begins. */
const slotOf = (a: number, b: number, mask: number): number => ((a ^ (b >>> 7)) * SLOT) & mask;

/** N-grams to be counted together. */
class Waiting {
  readonly a = new Int32Array(TOGETHER);
  readonly b = new Int32Array(TOGETHER);
  readonly by = new Int32Array(TOGETHER);
  count = 0;
  /** Keeps the early reads from being optimised away. */
  fetched = 0;

  /** @returns whether it is full */
  push(a: number, b: number, by: number): boolean {
    this.a[this.count] = a;
    this.b[this.count] = b;
    this.by[this.count] = by;
    return ++this.count === TOGETHER;
  }
}
