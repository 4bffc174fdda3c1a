/** @file The n-grams of a text as pairs of hashes: `extend` of @modelpress/dan without an object for each. */

const START_A = 0x811c9dc5 | 0;
const START_B = 0x9747b28c | 0;

/**
 * Calls `visit` with the two hashes of every n-gram, by start then length.
 * @param tokens pairs, as `TokenHasher` gives
 * @param visit gets signed integers: unsigned ones above 2^31 would each be an object on the heap
 */
export function walkNgrams(
  tokens: Uint32Array,
  minOrder: number,
  maxOrder: number,
  visit: (a: number, b: number) => void,
): void {
  const length = tokens.length >> 1;
  for (let start = 0; start < length; start++) {
    let a = START_A;
    let b = START_B;
    const last = Math.min(maxOrder, length - start);
    for (let order = 1; order <= last; order++) {
      const token = (start + order - 1) << 1;
      a = Math.imul(a ^ tokens[token], 0xcc9e2d51);
      a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0;
      b = Math.imul(b ^ tokens[token + 1], 0x1b873593);
      b = (Math.imul((b << 11) | (b >>> 21), 5) + 0x561ccd1b) | 0;
      if (order >= minOrder) visit(a, b);
    }
  }
}
