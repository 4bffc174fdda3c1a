/** @file Counts by 64-bit hash: open addressing whose slots stand in the order of the hashes. */

const EMPTY = 0;
/** Words of a slot: the two hashes, the count, and one that keeps slots from crossing cache lines. */
const SLOT = 4;
export const BYTES_PER_SLOT = 4 * SLOT;

/**
 * An entry's search begins at the top bits of its first hash. So entries with near hashes have near slots: batches that
 * are sorted by those bits touch few pages at a time, and a larger table is filled from front to end.
 */
export class CountTable {
  readonly capacity: number;
  private readonly table: Int32Array;
  private readonly shift: number;
  private filled = 0;
  /** Keeps the early reads of `add` from being optimised away. */
  private fetched = 0;

  /** @param bits the table has 2^bits slots */
  constructor(readonly bits: number) {
    this.capacity = 2 ** bits;
    this.shift = 32 - bits;
    this.table = new Int32Array(SLOT * this.capacity);
  }

  /** Entries. */
  get size(): number {
    return this.filled;
  }

  /**
   * Adds one to the count of each pair of hashes in `pairs[from .. to]`. A slot is hardly ever in the cache, and whether
   * it is empty is anybody's guess: branch by branch, each pair would wait for its own. Reading all of them first,
   * without a branch, lets their waits overlap.
   */
  add(pairs: Int32Array, from: number, to: number): void {
    const { table, shift } = this;
    let fetched = 0;
    for (let i = from; i < to; i += 2) fetched ^= table[(pairs[i] >>> shift) * SLOT];
    this.fetched ^= fetched;
    for (let i = from; i < to; i += 2) this.filled += insert(table, shift, pairs[i], pairs[i + 1], 1);
  }

  /** The same entries in a table with twice as many slots. */
  doubled(): CountTable {
    const larger = new CountTable(this.bits + 1);
    const { table } = this;
    for (let slot = 0; slot < table.length; slot += SLOT) {
      if (table[slot + 2] === EMPTY) continue;
      insert(larger.table, larger.shift, table[slot], table[slot + 1], table[slot + 2]);
    }
    larger.filled = this.filled;
    return larger;
  }

  /** Removes entries with a count of at most `highest`. Without a second table: entries only ever move to the front. */
  drop(highest: number): void {
    const { table } = this;
    this.filled = 0;
    this.each((a, b, count, slot) => {
      table[slot + 2] = EMPTY;
      if (count > highest) this.filled += insert(table, this.shift, a, b, count);
    });
  }

  /** Visits entries in the order of their hashes, save that neighbours may be swapped. */
  each(visit: (a: number, b: number, count: number, slot: number) => void): void {
    const { table } = this;
    // Entries that ran over the end of the table stand at its front: they belong to the last ones.
    let first = 0;
    while (table[first + 2] !== EMPTY) first += SLOT;
    for (let i = 0; i < table.length; i += SLOT) {
      const slot = (first + i) & (table.length - 1);
      const count = table[slot + 2];
      if (count !== EMPTY) visit(table[slot], table[slot + 1], count, slot);
    }
  }
}

/** @returns how many entries this made: 0 or 1 */
function insert(table: Int32Array, shift: number, a: number, b: number, by: number): number {
  let slot = (a >>> shift) * SLOT;
  while (table[slot + 2] !== EMPTY) {
    if (table[slot] === a && table[slot + 1] === b) {
      table[slot + 2] += by;
      return 0;
    }
    slot = (slot + SLOT) & (table.length - 1);
  }
  table[slot] = a;
  table[slot + 1] = b;
  table[slot + 2] = by;
  return 1;
}
