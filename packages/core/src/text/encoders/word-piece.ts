import { invalid } from '../../errors';
import { bertNormalize } from './bert-normalizer';
import type { BertNormalization } from './bert-normalizer';
import { charFlags, PUNCTUATION, SPACE } from './characters';
import { CACHED_WORD_LENGTH, CACHED_WORDS } from './piece-encoder';
import type { PieceEncoder } from './piece-encoder';

export interface WordPieceModel {
  readonly vocab: Readonly<Record<string, number>>;
  readonly unknown: string;
  /** Marks a piece that continues a word, e.g. `##`. */
  readonly prefix: string;
  /** A longer word, in code points, becomes the unknown token. */
  readonly maxWordLength: number;
}

/**
 * BERT's tokenization: clean, split at white space and around punctuation, then cut each word greedily into the
 * longest pieces of the vocabulary; a word that cannot be cut is unknown as a whole.
 */
export class WordPieceEncoder implements PieceEncoder {
  readonly #initial = new Map<string, number>();
  readonly #continuing = new Map<string, number>();
  readonly #cache = new Map<string, readonly number[]>();
  readonly #unknown: readonly number[];
  readonly #longestPiece: number;

  constructor(
    private readonly model: WordPieceModel,
    private readonly normalization: BertNormalization,
  ) {
    const unknown = model.vocab[model.unknown];
    if (unknown === undefined) {
      throw invalid('tokenizer.special-token', `The vocabulary lacks its unknown token ${model.unknown}.`);
    }
    this.#unknown = [unknown];
    let longest = 0;
    for (const [token, id] of Object.entries(model.vocab)) {
      this.#initial.set(token, id);
      if (token.startsWith(model.prefix)) this.#continuing.set(token.slice(model.prefix.length), id);
      longest = Math.max(longest, token.length);
    }
    this.#longestPiece = longest;
  }

  encode(text: string, out: number[], limit: number): void {
    const clean = bertNormalize(text, this.normalization);
    let start = -1;
    for (let i = 0; i < clean.length && out.length < limit; i++) {
      const code = clean.charCodeAt(i);
      const flags = charFlags(code);
      // A surrogate pair is looked up as a whole; its halves by themselves have no flags that matter here.
      const wide = code >= 0xd800 && code <= 0xdbff;
      const kind = wide ? charFlags(clean.codePointAt(i) ?? code) : flags;
      const end = wide ? i + 2 : i + 1;
      if (kind & (SPACE | PUNCTUATION)) {
        if (start >= 0) this.#pushWord(clean.slice(start, i), out);
        start = -1;
        if (kind & PUNCTUATION && out.length < limit) this.#pushWord(clean.slice(i, end), out);
      } else if (start < 0) {
        start = i;
      }
      i = end - 1;
    }
    if (start >= 0 && out.length < limit) this.#pushWord(clean.slice(start), out);
  }

  #pushWord(word: string, out: number[]): void {
    for (const id of this.#pieces(word)) out.push(id);
  }

  #pieces(word: string): readonly number[] {
    const cached = this.#cache.get(word);
    if (cached !== undefined) return cached;
    const pieces = this.#cut(word);
    if (word.length <= CACHED_WORD_LENGTH) {
      if (this.#cache.size >= CACHED_WORDS) this.#cache.clear();
      this.#cache.set(word, pieces);
    }
    return pieces;
  }

  #cut(word: string): readonly number[] {
    if (word.length > this.model.maxWordLength && codePoints(word) > this.model.maxWordLength) return this.#unknown;
    const pieces: number[] = [];
    for (let start = 0; start < word.length;) {
      const table = start === 0 ? this.#initial : this.#continuing;
      let end = Math.min(word.length, start + this.#longestPiece);
      let id = table.get(word.slice(start, end));
      while (id === undefined && end > start + 1) id = table.get(word.slice(start, --end));
      if (id === undefined) return this.#unknown;
      pieces.push(id);
      start = end;
    }
    return pieces;
  }
}

const codePoints = (word: string): number => Array.from(word).length;
