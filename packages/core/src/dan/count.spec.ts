import { extend, ngrams, TokenHasher, wordHash, words } from '@modelpress/dan';
import type { Hash } from '@modelpress/dan';
import fc from 'fast-check';
import { Random } from '../train/random';
import { NgramCounter } from './count';

const key = ({ a, b }: Hash): string => `${a}/${b}`;

/** Counts in a Map, as the definition says. */
function counted(texts: readonly string[], minOrder: number, maxOrder: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const ngram of ngrams(words(text).map(wordHash), minOrder, maxOrder)) {
      counts.set(key(ngram), (counts.get(key(ngram)) ?? 0) + 1);
    }
  }
  return counts;
}

function counter(
  texts: readonly string[],
  minOrder: number,
  maxOrder: number,
  memory?: number,
  expected?: number,
): NgramCounter {
  const hasher = new TokenHasher();
  const result = new NgramCounter(minOrder, maxOrder, memory, expected);
  for (const text of texts) result.add(hasher.hashes(text));
  return result;
}

describe('NgramCounter', () => {
  it('counts exactly as a Map does, whatever the text', () => {
    const word = fc.constantFrom('the', 'film', 'is', 'GOOD', 'a', 'Ünïcode', '電影', "don't", 'x_1', '--', 'İstanbul');
    const text = fc.oneof(
      fc.array(word, { maxLength: 12 }).map((all) => all.join(' ')),
      fc.string({ unit: 'grapheme' }),
    );
    fc.assert(
      fc.property(fc.array(text, { maxLength: 12 }), fc.integer({ min: 1, max: 3 }), (texts, minOrder) => {
        const expected = counted(texts, minOrder, minOrder + 1);
        const { a, b, counts } = counter(texts, minOrder, minOrder + 1).top(10_000);
        expect(new Map(Array.from(counts, (count, i) => [key({ a: a[i], b: b[i] }), count]))).toEqual(expected);
        expect([...counts].sort((x, y) => y - x)).toEqual([...counts]);
      }),
    );
  });

  it('gives the most frequent, the same ones for texts in any order', () => {
    const random = new Random(1);
    const texts = Array.from({ length: 400 }, () =>
      Array.from({ length: 8 }, () => `w${Math.floor(300 * random.uniform() ** 3)}`).join(' '),
    );
    const expected = [...counted(texts, 1, 4).values()].sort((x, y) => y - x).slice(0, 500);
    const top = counter(texts, 1, 4).top(500);
    expect([...top.counts]).toEqual(expected);
    expect(counter([...texts].reverse(), 1, 4).top(500)).toEqual(top);
    for (const expected of [1, 10 ** 6, 10 ** 9]) {
      expect(counter(texts, 1, 4, 2 ** 25, expected).top(500)).toEqual(top);
    }
  });

  it('keeps the frequent ones within bounded memory, and says how far counts may be off', () => {
    const random = new Random(2);
    const texts = Array.from({ length: 6000 }, (_, i) =>
      Array.from({ length: 20 }, (_, k) => (k % 4 === 0 ? 'often' : `rare${i}x${random.integer(10 ** 6)}`)).join(' '),
    );
    const result = counter(texts, 1, 2, 2 ** 21);
    expect(result.error).toBeGreaterThan(0);
    expect(result.size).toBeLessThan(2 ** 17);
    const top = result.top(1);
    expect({ a: top.a[0], b: top.b[0] }).toEqual(extend(undefined, wordHash('often')));
    expect(top.counts[0]).toBeGreaterThanOrEqual(30_000 - result.error);
    expect(top.counts[0]).toBeLessThanOrEqual(30_000);
    expect(() => new NgramCounter(1, 4, 1000)).toThrow('at least 2 MiB');
  });

  it('counts exactly while its table grows, in which parts wait for their turn', () => {
    const hasher = new TokenHasher();
    const result = new NgramCounter(1, 1);
    const often = hasher.hashes('often').slice();
    for (let i = 0; i < 300_000; i++) {
      result.add(Uint32Array.of(Math.imul(i, 0x9e3779b1), i));
      if (i % 3 === 0) result.add(often);
    }
    expect(result.size).toBe(300_001);
    expect(result.error).toBe(0);
    expect(result.top(1).counts[0]).toBe(100_000);
    expect([...result.top(400_000).counts.subarray(1)].every((count) => count === 1)).toBe(true);
  });
});
