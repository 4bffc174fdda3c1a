/** @file The n-grams that a DAN knows: counted, hashed, and looked up in texts. */
import { buildPerfectHash, findSlot, TokenHasher } from '@modelpress/dan';
import type { PerfectHash } from '@modelpress/dan';
import { invalid, throwIfAborted } from '../errors';
import type { Example } from '../text';
import { TokenRowsWriter } from '../text/token-rows';
import { NgramCounter } from './count';
import type { CountedNgrams } from './count';
import { walkNgrams } from './walk';

export interface Orders {
  readonly minOrder: number;
  readonly maxOrder: number;
}

export interface NgramVocabulary extends Orders {
  readonly hash: PerfectHash;
  /** The n-grams' hashes, and by n-gram its slot. */
  readonly a: Uint32Array;
  readonly b: Uint32Array;
  readonly slotOfKey: Uint32Array;
}

/** What a DAN reads of an example; a pair becomes one text. */
export const textOf = ({ text, pair }: Pick<Example, 'text' | 'pair'>): string =>
  pair === undefined ? text : `${text} ${pair}`;

export interface CountOptions extends Orders {
  /** Most frequent n-grams to keep. */
  readonly limit: number;
  readonly memoryBytes: number;
  /** About how long the texts are together. */
  readonly textBytes?: number;
  readonly signal?: AbortSignal;
}

/** Different n-grams of each length in a byte of English: a word takes six bytes, and half of the n-grams occur once. */
const DISTINCT_PER_BYTE = 1 / 12;

/** The most frequent n-grams of texts, and by how much a count may be too low. @throws `distill.ngrams` without any */
export async function countNgrams(
  examples: AsyncIterable<Example>,
  { minOrder, maxOrder, limit, memoryBytes, textBytes = 0, signal }: CountOptions,
): Promise<{ ngrams: CountedNgrams; error: number; distinct: number }> {
  const hasher = new TokenHasher();
  const counter = new NgramCounter(
    minOrder,
    maxOrder,
    memoryBytes,
    DISTINCT_PER_BYTE * (maxOrder - minOrder + 1) * textBytes,
  );
  for await (const example of examples) {
    throwIfAborted(signal);
    counter.add(hasher.hashes(textOf(example)));
  }
  if (counter.size === 0) {
    throw invalid('distill.ngrams', 'The texts have no word of two characters or more, so a DAN can learn nothing.');
  }
  return { ngrams: counter.top(limit), error: counter.error, distinct: counter.size };
}

export function buildVocabulary(a: Uint32Array, b: Uint32Array, { minOrder, maxOrder }: Orders): NgramVocabulary {
  return { ...buildPerfectHash(a, b), a, b, minOrder, maxOrder };
}

/** Finds the slots of texts' known n-grams; the same ones, in the same order, as the runtime. */
export class SlotFinder {
  private readonly hasher = new TokenHasher();

  constructor(private readonly vocabulary: Orders & Pick<NgramVocabulary, 'hash'>) {}

  /** Slots of the known n-grams, repeats kept. */
  find(text: string): number[] {
    const { hash, minOrder, maxOrder } = this.vocabulary;
    const slots: number[] = [];
    walkNgrams(this.hasher.hashes(text), minOrder, maxOrder, (a, b) => {
      const slot = findSlot(hash, { a: a >>> 0, b: b >>> 0 });
      if (slot >= 0) slots.push(slot);
    });
    return slots;
  }
}

/** What the rows of a split look like. */
export interface NgramRowStatistics {
  readonly rows: number;
  /** Rows without a single known n-gram: they all get the same answer. */
  readonly unknownRows: number;
  readonly ngrams: number;
}

/**
 * Writes the slots of each text's n-grams as token rows.
 * @param folder existing, empty
 * @param labels class names; a row's label becomes its index, NaN where it has none or another one
 */
export async function writeNgramRows(
  examples: AsyncIterable<Example>,
  vocabulary: NgramVocabulary,
  labels: readonly string[],
  folder: string,
  signal?: AbortSignal,
): Promise<NgramRowStatistics> {
  const finder = new SlotFinder(vocabulary);
  const writer = new TokenRowsWriter(folder);
  const classes = new Map<string | number | undefined, number>(labels.map((label, index) => [label, index]));
  let rows = 0;
  let unknownRows = 0;
  let ngrams = 0;
  try {
    for await (const example of examples) {
      throwIfAborted(signal);
      const slots = finder.find(textOf(example));
      writer.push(slots, slots.length, classes.get(example.label) ?? Number.NaN);
      rows++;
      ngrams += slots.length;
      if (slots.length === 0) unknownRows++;
    }
  } finally {
    writer.close();
  }
  return { rows, unknownRows, ngrams };
}
