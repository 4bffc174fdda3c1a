/** @file Tokens and n-grams as pairs of 32-bit hashes. The twin of tokenize() and lookup() in assembly/dan.ts. */

/** 64 bits that stand for a token or an n-gram. */
export interface Hash {
  readonly a: number;
  readonly b: number;
}

const START: Hash = { a: 0x811c9dc5, b: 0x9747b28c };

/** Finaliser of MurmurHash3 (Appleby): every input bit flips about half of the output bits. */
export function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export const rotateLeft = (x: number, bits: number): number => ((x << bits) | (x >>> (32 - bits))) >>> 0;

/** Words as scikit-learn's CountVectorizer sees them: lower case, runs of two or more word characters. */
const WORD = /[\p{L}\p{N}_]{2,}/gu;

/** The words of a text, lower-cased. */
export const words = (text: string): string[] => text.toLowerCase().match(WORD) ?? [];

const utf8 = new TextEncoder();

/** Hash of a word's UTF-8 bytes (FNV-1a and a rotating multiplicative hash). */
export function wordHash(word: string): Hash {
  let { a, b } = START;
  for (const byte of utf8.encode(word)) {
    a = Math.imul(a ^ byte, 0x01000193);
    b = rotateLeft(Math.imul(b ^ byte, 0x5bd1e995), 15);
  }
  return { a: mix(a), b: mix(b) };
}

/** The hash of an n-gram from that of the n-gram before its last word; start with `undefined`. */
export function extend(ngram: Hash | undefined, word: Hash): Hash {
  const { a, b } = ngram ?? START;
  return {
    a: (Math.imul(rotateLeft(Math.imul(a ^ word.a, 0xcc9e2d51), 13), 5) + 0xe6546b64) >>> 0,
    b: (Math.imul(rotateLeft(Math.imul(b ^ word.b, 0x1b873593), 11), 5) + 0x561ccd1b) >>> 0,
  };
}

/** Every n-gram of minOrder..maxOrder words, by start then length: the order in which slots are found. */
export function* ngrams(hashes: readonly Hash[], minOrder: number, maxOrder: number): Generator<Hash> {
  for (let start = 0; start < hashes.length; start++) {
    let ngram: Hash | undefined;
    for (let order = 1; order <= maxOrder && start + order <= hashes.length; order++) {
      ngram = extend(ngram, hashes[start + order - 1]);
      if (order >= minOrder) yield ngram;
    }
  }
}
