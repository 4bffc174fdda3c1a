import type { AddedToken } from '../tokenizer-definition';

const SPACE = /\p{White_Space}/u;

/** Finds tokens that are taken from a text as they stand, before anything else looks at it. */
export class AddedTokens {
  readonly #pattern: RegExp | undefined;
  readonly #byContent: ReadonlyMap<string, AddedToken>;

  constructor(tokens: readonly AddedToken[]) {
    this.#byContent = new Map(tokens.map((token) => [token.content, token]));
    // Longest first: an alternation takes the first branch that fits.
    const contents = [...this.#byContent.keys()].sort((a, b) => b.length - a.length);
    this.#pattern = contents.length === 0 ? undefined : new RegExp(contents.map(escape).join('|'), 'gu');
  }

  /** Calls `onText` for the text between added tokens (never empty) and `onToken` for each token's id, in order. */
  split(text: string, onText: (piece: string) => void, onToken: (id: number) => void): void {
    let done = 0;
    if (this.#pattern !== undefined) {
      for (const match of text.matchAll(this.#pattern)) {
        const token = this.#byContent.get(match[0]);
        if (token === undefined) continue;
        let start = match.index;
        let end = start + match[0].length;
        if (token.lstrip) while (start > done && SPACE.test(text[start - 1])) start--;
        if (token.rstrip) while (end < text.length && SPACE.test(text[end])) end++;
        if (start > done) onText(text.slice(done, start));
        onToken(token.id);
        done = end;
      }
    }
    if (done < text.length) onText(done === 0 ? text : text.slice(done));
  }
}

const escape = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
