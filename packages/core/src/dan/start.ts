/** @file Rows that start from what is known of their words. */
import { extend, findSlot, wordHash, words } from '@modelpress/dan';
import type { Hash, Pooling } from '@modelpress/dan';
import { throwIfAborted } from '../errors';
import type { Example } from '../text';
import type { DanTable } from './table';
import { SlotFinder, textOf } from './vocabulary';
import type { NgramVocabulary } from './vocabulary';

/**
 * Root mean square of a word's row, by pooling: a mean of many rows is small (there 1 was measured better than 0.3, and
 * that than 0.1), a sum of them large.
 */
const SCALES: Readonly<Record<Pooling, number>> = { mean: 1, attentive: 1, max: 0.3, sum: 0.1 };

/**
 * Sets every row whose n-gram the texts have to the mean of its words' vectors.
 * @param vectorOf a word's vector, of at most the table's width, with a root mean square of about 1
 */
export async function startFromWords(
  table: DanTable,
  vocabulary: NgramVocabulary,
  texts: AsyncIterable<Example>,
  pooling: Pooling,
  vectorOf: (word: string) => Float32Array,
  signal: AbortSignal,
): Promise<void> {
  const finder = new SlotFinder(vocabulary);
  const done = new Uint8Array(vocabulary.hash.fingerprints.length);
  for await (const example of texts) {
    throwIfAborted(signal);
    const text = textOf(example);
    if (finder.find(text).every((slot) => done[slot])) continue;
    eachNgram(words(text), vocabulary, (slot, ngram) => {
      if (done[slot]) return;
      done[slot] = 1;
      setMean(table.row(slot), ngram.map(vectorOf), SCALES[pooling]);
    });
  }
}

function eachNgram(
  all: readonly string[],
  { hash, minOrder, maxOrder }: NgramVocabulary,
  visit: (slot: number, ngram: readonly string[]) => void,
): void {
  const hashes = all.map(wordHash);
  for (let start = 0; start < all.length; start++) {
    let ngram: Hash | undefined;
    for (let end = start + 1; end <= Math.min(all.length, start + maxOrder); end++) {
      ngram = extend(ngram, hashes[end - 1]);
      const slot = end - start < minOrder ? -1 : findSlot(hash, ngram);
      if (slot >= 0) visit(slot, all.slice(start, end));
    }
  }
}

function setMean(row: Float32Array, vectors: readonly Float32Array[], scale: number): void {
  row.fill(0);
  for (const vector of vectors) {
    for (let i = 0; i < vector.length; i++) row[i] += (scale / vectors.length) * vector[i];
  }
}
