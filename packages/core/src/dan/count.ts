/** @file Counting the n-grams of any amount of text in bounded memory. */
import { invalid, limitExceeded } from '../errors';
import { walkNgrams } from './walk';

const EMPTY = 0;
const BYTES_PER_SLOT = 12;
const FIRST_CAPACITY = 2 ** 16;
const LOAD = 0.7;

/** The most frequent n-grams: hashes and counts, most frequent first. */
export interface CountedNgrams {
  readonly a: Uint32Array;
  readonly b: Uint32Array;
  readonly counts: Uint32Array;
}

/**
 * A table of 64-bit hashes with counts (open addressing). It doubles while it may; at its bound, n-grams with the lowest
 * counts are dropped, ever higher ones as often as needed (lossy counting, Manku & Motwani 2002). A count is then too
 * low by at most `error`; without drops all counts are exact.
 */
export class NgramCounter {
  private a = new Uint32Array(FIRST_CAPACITY);
  private b = new Uint32Array(FIRST_CAPACITY);
  private counts = new Uint32Array(FIRST_CAPACITY);
  private used = 0;
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
    // While the table doubles, old and new stand side by side: the new one is two thirds.
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
    return this.used;
  }

  /** Counts the n-grams of one text. @param tokens pairs of a token's two hashes, as `TokenHasher` gives them */
  add(tokens: Uint32Array): void {
    walkNgrams(tokens, this.minOrder, this.maxOrder, (a, b) => this.increment(a, b, 1));
  }

  /** The `limit` most frequent; among equally frequent ones those with the smallest hashes, so equal texts give equal results. */
  top(limit: number): CountedNgrams {
    const slots = this.frequent(limit);
    slots.sort((x, y) => this.counts[y] - this.counts[x] || this.a[x] - this.a[y] || this.b[x] - this.b[y]);
    const chosen = slots.subarray(0, limit);
    const pick = (from: Uint32Array): Uint32Array => Uint32Array.from(chosen, (slot) => from[slot]);
    return { a: pick(this.a), b: pick(this.b), counts: pick(this.counts) };
  }

  /** Slots that can be among the first `limit`: above the count that the last of them has, or equal with small hashes. */
  private frequent(limit: number): Uint32Array {
    const sorted = this.counts.filter((count) => count !== EMPTY).sort();
    const threshold = sorted[Math.max(0, sorted.length - limit)] ?? 0;
    const slots = (keep: (slot: number) => boolean): Uint32Array => {
      const found = new Uint32Array(this.used);
      let count = 0;
      for (let slot = 0; slot < this.counts.length; slot++) {
        if (this.counts[slot] !== EMPTY && keep(slot)) found[count++] = slot;
      }
      return found.subarray(0, count);
    };
    const above = slots((slot) => this.counts[slot] > threshold);
    const equal = slots((slot) => this.counts[slot] === threshold);
    const cut = equal.map((slot) => this.a[slot]).sort()[limit - above.length - 1] ?? 0xffff_ffff;
    return slots((slot) => this.counts[slot] > threshold || (this.counts[slot] === threshold && this.a[slot] <= cut));
  }

  private increment(a: number, b: number, by: number): void {
    const mask = this.counts.length - 1;
    let slot = (a ^ (b >>> 7)) & mask;
    while (this.counts[slot] !== EMPTY) {
      if (this.a[slot] === a && this.b[slot] === b) {
        this.counts[slot] += by;
        return;
      }
      slot = (slot + 1) & mask;
    }
    this.a[slot] = a;
    this.b[slot] = b;
    this.counts[slot] = by;
    if (++this.used > LOAD * this.counts.length) this.makeRoom();
  }

  private makeRoom(): void {
    if (this.counts.length < this.maxCapacity) {
      this.rebuild(this.counts.length * 2, 0);
      return;
    }
    // At least half must go, or the table would fill up again at once.
    const sorted = this.counts.filter((count) => count !== EMPTY).sort();
    const highest = sorted[sorted.length >> 1];
    this.lost += highest;
    this.rebuild(this.counts.length, highest);
  }

  /** Moves what has a count above `dropped` to a new table. */
  private rebuild(capacity: number, dropped: number): void {
    const { a, b, counts } = this;
    this.a = new Uint32Array(capacity);
    this.b = new Uint32Array(capacity);
    this.counts = new Uint32Array(capacity);
    this.used = 0;
    for (let slot = 0; slot < counts.length; slot++) {
      if (counts[slot] > dropped) this.increment(a[slot], b[slot], counts[slot]);
    }
  }
}
