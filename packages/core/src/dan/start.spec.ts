import { extend, findSlot, TokenHasher, wordHash } from '@modelpress/dan';
import type { Example } from '../text';
import { NgramCounter } from './count';
import { startFromWords } from './start';
import { DanTable } from './table';
import { buildVocabulary } from './vocabulary';

async function* texts(...all: string[]): AsyncGenerator<Example> {
  for (const text of all) yield { text };
}

describe('startFromWords', () => {
  it.each([2 ** 20, 3 * 12 * 8])('sets rows to the mean of their words, in shards of %d bytes', async (shardBytes) => {
    const counter = new NgramCounter(1, 2);
    counter.add(new TokenHasher().hashes('green apple green tree'));
    const { a, b } = counter.top(100);
    const vocabulary = buildVocabulary(a, b, { minOrder: 1, maxOrder: 2 });
    const table = new DanTable(vocabulary.hash.fingerprints.length, 8, shardBytes);
    const vectorOf = (word: string): Float32Array => Float32Array.of(word.length, word.charCodeAt(0));
    await startFromWords(
      table,
      vocabulary,
      texts('Green apple', 'green tree'),
      'mean',
      vectorOf,
      new AbortController().signal,
    );
    const rowOf = (first: string, second?: string): number[] => {
      const word = extend(undefined, wordHash(first));
      return [...table.row(findSlot(vocabulary.hash, second ? extend(word, wordHash(second)) : word)).subarray(0, 3)];
    };
    expect(rowOf('apple')).toEqual([5, 97, 0]);
    expect(rowOf('green', 'tree')).toEqual([4.5, 109.5, 0]);
    // No text has it.
    expect(rowOf('apple', 'green')).toEqual([0, 0, 0]);
  });
});
