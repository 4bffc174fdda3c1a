/** @file Which tokens of a vocabulary stay when the others are never used, so that known texts keep their tokens. */
import { unsupported } from '../errors';
import type { TokenRows } from '../text';
import type { TokenizerSource } from '../text/tokenizer-definition';

/** Kept old ids in ascending order; the new id of a token is its place in this list. */
export interface VocabularyKeep {
  readonly ids: readonly number[];
  /** New id by old id. */
  readonly renumbered: ReadonlyMap<number, number>;
}

/** How often each id occurs in tokenized splits. */
export function countTokens(splits: readonly TokenRows[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const split of splits) {
    for (let row = 0; row < split.rows; row++) {
      for (const id of split.ids(row)) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return counts;
}

/**
 * Tokens with at least `minCount` occurrences, and what they need: added and special tokens, and
 * - WordPiece: every character of a kept token as a piece of its own, so that a new word is spelt and not unknown.
 *   Greedy longest match finds the same pieces for a word whose pieces all stayed;
 * - byte-pair encoding: all single symbols, and both parts of every merge that makes a kept token. The merges that lead
 *   to kept tokens then all stay, in their order, so a word whose tokens all stayed is merged along the same path.
 *
 * @throws unsupported `prune.tokenizer` for a vocabulary that is neither
 */
export function keptVocabulary(
  { definition, config }: TokenizerSource,
  counts: ReadonlyMap<number, number>,
  minCount: number,
): VocabularyKeep {
  const vocabulary = idsByToken(definition);
  const tokens = new Map([...vocabulary].map(([token, id]) => [id, token]));
  const kept = new Set(definition.added_tokens.map(({ id }) => id));
  const keep = (token: unknown): void => {
    const id = typeof token === 'string' ? vocabulary.get(token) : undefined;
    if (id !== undefined) kept.add(id);
  };
  for (const value of Object.values(config)) keep(value);
  keep(definition.model['unk_token']);
  for (const [id, count] of counts) if (count >= minCount) kept.add(id);

  const { merges } = definition.model;
  const prefix = definition.model['continuing_subword_prefix'];
  const seen = [...kept].map((id) => tokens.get(id) ?? '');
  if (merges) keepMergePaths(merges.map(partsOf), [...vocabulary.keys()], seen, keep);
  else keepCharacters(typeof prefix === 'string' ? prefix : '##', seen, keep);
  const ids = [...kept].sort((a, b) => a - b);
  return { ids, renumbered: new Map(ids.map((id, place) => [id, place])) };
}

/** Ids by token, added ones included. @throws unsupported `prune.tokenizer` */
export function idsByToken({ model, added_tokens: added }: TokenizerSource['definition']): Map<string, number> {
  if (Array.isArray(model.vocab)) {
    throw unsupported(
      'prune.tokenizer',
      'The vocabulary of a Unigram tokenizer cannot be pruned: its pieces compete by score; only WordPiece and byte-pair vocabularies can.',
      { field: 'vocabulary', file: 'tokenizer.json' },
    );
  }
  return new Map([...Object.entries(model.vocab), ...added.map(({ content, id }): [string, number] => [content, id])]);
}

/** The two tokens that a merge joins. */
export const partsOf = (merge: string | readonly [string, string]): readonly [string, string] => {
  if (typeof merge !== 'string') return merge;
  const space = merge.indexOf(' ');
  return [merge.slice(0, space), merge.slice(space + 1)];
};

function keepMergePaths(
  merges: readonly (readonly [string, string])[],
  all: readonly string[],
  seen: readonly string[],
  keep: (token: string) => void,
): void {
  const partsByResult = new Map<string, string[]>();
  for (const [left, right] of merges) {
    const result = left + right;
    partsByResult.set(result, [...(partsByResult.get(result) ?? []), left, right]);
  }
  const reached = new Set<string>();
  const open = [...seen, ...all.filter((token) => Array.from(token).length === 1)];
  for (let token = open.pop(); token !== undefined; token = open.pop()) {
    if (reached.has(token)) continue;
    reached.add(token);
    keep(token);
    open.push(...(partsByResult.get(token) ?? []));
  }
}

function keepCharacters(prefix: string, seen: readonly string[], keep: (token: string) => void): void {
  const characters = new Set(
    seen.flatMap((token) => Array.from(token.startsWith(prefix) ? token.slice(prefix.length) : token)),
  );
  for (const character of characters) {
    keep(character);
    keep(prefix + character);
  }
}
