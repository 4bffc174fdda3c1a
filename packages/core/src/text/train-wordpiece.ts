/**
 * @file Trains a WordPiece vocabulary: byte-pair merges over word counts (Sennrich et al. 2016), written in WordPiece's
 * form with `##` before pieces that continue a word, as Hugging Face's trainer does.
 */
import { invalid } from '../errors';
import { Heap } from './heap';

export const SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;

/** Characters seen fewer times than this in a large corpus are left to [UNK]; the alphabet must not eat the vocabulary. */
const MAX_ALPHABET = 1000;

/** Words of a text as BERT's uncased tokenizer splits them: lower case without accents, punctuation and CJK alone. */
const WORD = /[\p{Script=Han}]|[\p{L}\p{N}](?:(?!\p{Script=Han})[\p{L}\p{N}])*|[^\s\p{L}\p{N}]/gu;

/** How often each word occurs. */
export class WordCounts {
  readonly counts = new Map<string, number>();

  add(text: string): void {
    const plain = text
      .normalize('NFD')
      .replace(/\p{Mn}/gu, '')
      .toLowerCase();
    for (const [word] of plain.matchAll(WORD)) this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
  }
}

interface Word {
  readonly count: number;
  /** Current pieces, first without and the rest with `##`. */
  pieces: string[];
}

/**
 * A vocabulary of at most `size` tokens: special tokens, characters, then the merges of the most frequent pairs.
 * Equal counts are resolved by spelling, so the result depends on the counts alone.
 * @throws invalid `tokenizer.no-text` without any word; `tokenizer.size` when the characters alone need more
 */
export function trainWordPiece({ counts }: WordCounts, size: number): string[] {
  if (counts.size === 0) throw invalid('tokenizer.no-text', 'There is no text to train a vocabulary on.');
  const words = [...counts].map(([text, count]): Word => {
    return { count, pieces: Array.from(text, (character, i) => (i === 0 ? character : `##${character}`)) };
  });
  const vocabulary = new Set<string>([...SPECIAL_TOKENS, ...alphabet(words)]);
  if (vocabulary.size > size) {
    throw invalid(
      'tokenizer.size',
      `The characters of the text alone need ${vocabulary.size} tokens, more than ${size}.`,
      {
        field: 'vocabulary',
      },
    );
  }
  const pairs = new PairCounts(words);
  for (let best = pairs.top(); vocabulary.size < size && best !== undefined; best = pairs.top()) {
    vocabulary.add(pairs.merge(best));
  }
  return [...vocabulary];
}

/** The most frequent pieces of one character. */
function alphabet(words: readonly Word[]): string[] {
  const counts = new Map<string, number>();
  for (const { count, pieces } of words)
    for (const piece of pieces) counts.set(piece, (counts.get(piece) ?? 0) + count);
  return [...counts]
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, MAX_ALPHABET)
    .map(([piece]) => piece);
}

const joined = (left: string, right: string): string => left + right.slice(2);
const keyOf = (left: string, right: string): string => `${left} ${right}`;

/** Counts of neighbouring pieces, kept true while pairs are merged. */
class PairCounts {
  private readonly counts = new Map<string, number>();
  /** Words that hold (or once held) a pair. */
  private readonly owners = new Map<string, Set<Word>>();
  /** Pairs by count, highest first; entries whose count has changed since are skipped. */
  private readonly queue = new Heap(byCount);

  constructor(words: readonly Word[]) {
    for (const word of words) this.change(word, 1);
    for (const key of this.counts.keys()) this.enqueue(key);
  }

  /** The most frequent pair; undefined when none occurs twice. */
  top(): string | undefined {
    for (let entry = this.queue.top; entry; entry = this.queue.top) {
      if (this.counts.get(entry.key) === entry.count) return entry.key;
      this.queue.pop();
    }
    return undefined;
  }

  /** Replaces a pair by one piece in every word; returns the piece. */
  merge(key: string): string {
    const [left, right] = key.split(' ');
    const piece = joined(left, right);
    const touched = new Set<string>();
    for (const word of this.owners.get(key) ?? []) {
      this.change(word, -1, touched);
      word.pieces = mergePieces(word.pieces, left, right, piece);
      this.change(word, 1, touched);
    }
    for (const changed of touched) this.enqueue(changed);
    return piece;
  }

  private change(word: Word, sign: 1 | -1, touched?: Set<string>): void {
    for (let i = 1; i < word.pieces.length; i++) {
      const key = keyOf(word.pieces[i - 1], word.pieces[i]);
      this.counts.set(key, (this.counts.get(key) ?? 0) + sign * word.count);
      touched?.add(key);
      if (sign < 0) continue;
      const owners = this.owners.get(key);
      if (owners) owners.add(word);
      else this.owners.set(key, new Set([word]));
    }
  }

  /** Queues a pair with its present count, if it occurs twice. */
  private enqueue(key: string): void {
    const count = this.counts.get(key) ?? 0;
    if (count > 1) this.queue.push({ key, count });
  }
}

/** Highest count first; among equals, the earlier spelling. */
function byCount(a: { key: string; count: number }, b: { key: string; count: number }): number {
  return b.count - a.count || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

function mergePieces(pieces: readonly string[], left: string, right: string, piece: string): string[] {
  const merged: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      merged.push(piece);
      i++;
    } else merged.push(pieces[i]);
  }
  return merged;
}
