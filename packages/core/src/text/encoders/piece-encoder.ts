/** Turns text without special tokens into token ids. */
export interface PieceEncoder {
  /**
   * Appends the ids of `text` to `out`. May stop early, at the end of a word, once `out` holds `limit` ids: what
   * truncation would drop need not be computed.
   */
  encode(text: string, out: number[], limit: number): void;
}

/** Entries of an encoder's word cache before it starts anew. Natural text has far fewer frequent words. */
export const CACHED_WORDS = 65_536;

/**
 * Longest word that is cached, in UTF-16 units. From 13 on V8 makes a substring by reference, and a cache of such
 * words would keep whole documents alive.
 */
export const CACHED_WORD_LENGTH = 12;
