import { invalid } from '../../errors';
import { MergeQueue } from './merge-queue';
import { CACHED_WORD_LENGTH, CACHED_WORDS } from './piece-encoder';
import type { PieceEncoder } from './piece-encoder';

export interface BytePairModel {
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs in order of rank, as `left right` or as two strings. */
  readonly merges: readonly (string | readonly [string, string])[];
  /** Put a space before a text that does not start with one. */
  readonly prefixSpace: boolean;
}

/** GPT-2's words: contractions, then letters, digits or other signs with one leading space, then white space. */
const WORDS =
  /'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Byte-level byte-pair encoding (GPT-2, RoBERTa): words as UTF-8 bytes, merged pair by pair in order of rank. */
export class BytePairEncoder implements PieceEncoder {
  readonly #byteIds: Int32Array;
  /** (left id * size + right id) -> rank. */
  readonly #ranks = new Map<number, number>();
  readonly #merged: Int32Array;
  readonly #size: number;
  readonly #cache = new Map<string, readonly number[]>();
  readonly #utf8 = new TextEncoder();

  constructor(private readonly model: BytePairModel) {
    const { vocab, merges } = model;
    this.#size = Object.values(vocab).reduce((top, id) => Math.max(top, id), 0) + 1;
    this.#byteIds = Int32Array.from(BYTE_SYMBOLS, (symbol) => vocab[symbol] ?? ABSENT);
    this.#merged = new Int32Array(merges.length);
    merges.forEach((merge, rank) => {
      const [left, right] = typeof merge === 'string' ? splitMerge(merge, rank) : merge;
      const ids = [vocab[left], vocab[right], vocab[left + right]];
      const [l, r, whole] = ids;
      if (l === undefined || r === undefined || whole === undefined) {
        throw invalid(
          'tokenizer.merges',
          `Merge ${rank + 1} ("${left} ${right}") names a token outside the vocabulary.`,
          {
            file: 'merges.txt',
            line: rank + 1,
          },
        );
      }
      this.#ranks.set(l * this.#size + r, rank);
      this.#merged[rank] = whole;
    });
  }

  encode(text: string, out: number[], limit: number): void {
    const { prefixSpace } = this.model;
    const full = prefixSpace && text !== '' && !text.startsWith(' ') ? ` ${text}` : text;
    WORDS.lastIndex = 0;
    for (let match = WORDS.exec(full); match !== null && out.length < limit; match = WORDS.exec(full)) {
      for (const id of this.#pieces(match[0])) out.push(id);
    }
  }

  #pieces(word: string): readonly number[] {
    const cached = this.#cache.get(word);
    if (cached !== undefined) return cached;
    const pieces = this.#merge(word);
    if (word.length <= CACHED_WORD_LENGTH) {
      if (this.#cache.size >= CACHED_WORDS) this.#cache.clear();
      this.#cache.set(word, pieces);
    }
    return pieces;
  }

  /** A linked list of symbols; the queue may hold merges whose symbols are gone by then, which are passed over. */
  #merge(word: string): number[] {
    const ids = this.#byteSymbols(word);
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const queue = new MergeQueue();
    const offer = (left: number): void => {
      const right = next[left];
      if (left < 0 || right >= ids.length) return;
      const rank = this.#rankOf(ids[left], ids[right]);
      if (rank !== undefined) queue.push(rank, left);
    };
    for (let i = 0; i + 1 < ids.length; i++) offer(i);
    for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
      const left = best.position;
      const right = next[left];
      if (ids[left] === ABSENT || right >= ids.length) continue;
      if (this.#rankOf(ids[left], ids[right]) !== best.rank) continue;
      ids[left] = this.#merged[best.rank];
      ids[right] = ABSENT;
      const after = next[right];
      next[left] = after;
      if (after < ids.length) previous[after] = left;
      if (previous[left] >= 0) offer(previous[left]);
      offer(left);
    }
    return Array.from(ids.filter((id) => id !== ABSENT));
  }

  #rankOf(left: number, right: number): number | undefined {
    return this.#ranks.get(left * this.#size + right);
  }

  /** Ids of the word's UTF-8 bytes. A byte without a token is left out, as the reference implementation does. */
  #byteSymbols(word: string): Int32Array {
    const bytes = this.#utf8.encode(word);
    return Int32Array.from(bytes, (byte) => this.#byteIds[byte]).filter((id) => id !== ABSENT);
  }
}

const ABSENT = -1;

/** The character that stands for each byte in a byte-level vocabulary: printable ones themselves, others from U+0100 on. */
const BYTE_SYMBOLS: readonly string[] = (() => {
  let shifted = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : 256 + shifted++);
  });
})();

function splitMerge(merge: string, rank: number): readonly [string, string] {
  const space = merge.indexOf(' ');
  if (space <= 0 || merge.includes(' ', space + 1)) {
    throw invalid('tokenizer.merges', `Merge ${rank + 1} ("${merge}") is not two tokens with a space between.`, {
      file: 'merges.txt',
      line: rank + 1,
    });
  }
  return [merge.slice(0, space), merge.slice(space + 1)];
}
