/** @file Finding equal texts among millions in little memory: by 53-bit hashes, whose chance meetings are negligible. */

const { imul } = Math;

/** A 53-bit hash of a text: two multiplicative hashes over its UTF-16 units, mixed as murmur3 does at its end. */
export function hashText(text: string): number {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = imul(a ^ unit, 0x01000193);
    b = imul(b ^ unit, 0x5bd1e995) ^ (b >>> 13);
  }
  return (mix(a) >>> 0) * 2 ** 21 + (mix(b ^ text.length) >>> 11);
}

function mix(hash: number): number {
  const x = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const y = imul(x ^ (x >>> 13), 0xc2b2ae35);
  return y ^ (y >>> 16);
}

/** A growing list of hashes. */
export class HashList {
  #values = new Float64Array(1024);
  #length = 0;
  #sorted: Float64Array | undefined;

  push(hash: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = hash;
    this.#sorted = undefined;
  }

  /** How many entries equal an earlier one. */
  duplicates(): number {
    const values = this.sorted();
    let count = 0;
    for (let i = 1; i < values.length; i++) if (values[i] === values[i - 1]) count++;
    return count;
  }

  /** How many entries of this list also occur in the other. */
  countIn(other: HashList): number {
    const [mine, theirs] = [this.sorted(), other.sorted()];
    let count = 0;
    let at = 0;
    for (const hash of mine) {
      while (at < theirs.length && theirs[at] < hash) at++;
      if (theirs[at] === hash) count++;
    }
    return count;
  }

  private sorted(): Float64Array {
    return (this.#sorted ??= this.#values.subarray(0, this.#length).sort());
  }
}
