/** @file Random numbers that can be seeded, saved and repeated on every machine. */

/** The whole state of a `Random`; plain JSON. */
export type RandomState = readonly [number, number, number, number];

/** Mixes any number of 32-bit words into one; each input bit flips about half of the output bits. */
function hash(words: readonly number[], salt: number): number {
  let x = salt;
  for (const word of words) {
    x = (x ^ word) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0xd35a2d97);
    x = (x ^ (x >>> 15)) + 0x9e3779b9;
  }
  return x >>> 0;
}

/** A 64-bit stream key for a counter-based generator; equal words give equal keys, near words unrelated ones. */
export function streamKey(...words: readonly number[]): readonly [number, number] {
  return [hash(words, 0x243f6a88), hash(words, 0x85a308d3)];
}

/** xoshiro128** (Blackman & Vigna 2018): 128 bits of state, period 2^128 - 1. Not for secrets. */
export class Random {
  private readonly state: Uint32Array<ArrayBuffer>;

  /** Seeds with an integer or continues from a saved state. */
  constructor(seed: number | RandomState) {
    this.state =
      typeof seed === 'number'
        ? Uint32Array.from([...streamKey(seed, Math.floor(seed / 2 ** 32), 1), ...streamKey(seed, 2)])
        : Uint32Array.from(seed);
    if (this.state.every((word) => word === 0)) this.state[0] = 1; // the one state that the generator cannot leave
  }

  save(): RandomState {
    const [a, b, c, d] = this.state;
    return [a, b, c, d];
  }

  /** The state itself as memory: a checkpoint stores it and restores it in place. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.state.buffer);
  }

  /** An integer in [0, 2^32). */
  uint32(): number {
    const s = this.state;
    const fifth = Math.imul(s[1], 5);
    const result = Math.imul((fifth << 7) | (fifth >>> 25), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  /** An integer in [0, limit), without bias. */
  integer(limit: number): number {
    if (!(limit >= 1 && limit <= 2 ** 32)) throw new RangeError(`limit must be in 1..2^32, not ${limit}`);
    const unbiased = 2 ** 32 - (2 ** 32 % limit);
    let draw = this.uint32();
    while (draw >= unbiased) draw = this.uint32();
    return draw % limit;
  }

  /** A draw from N(0, 1), by Box and Muller's transform; the second value of a pair is not kept. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Shuffles in place (Fisher-Yates) and returns the array. */
  shuffle<T extends unknown[] | Uint32Array>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swap = items[i];
      items[i] = items[j];
      items[j] = swap;
    }
    return items;
  }

  /** The integers 0..count-1 in random order. */
  permutation(count: number): Uint32Array {
    return this.shuffle(Uint32Array.from({ length: count }, (_, i) => i));
  }
}
