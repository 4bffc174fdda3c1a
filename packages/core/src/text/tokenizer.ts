import { invalid } from '../errors';
import { libraryTokenizer } from './encoders/library';
import type { LibraryTokenizer } from './encoders/library';
import type { PieceEncoder } from './encoders/piece-encoder';
import { selectEncoder } from './encoders/select-encoder';
import { readTemplate } from './encoders/template';
import type { Template } from './encoders/template';
import type { TokenizerSource } from './tokenizer-definition';
import { readTokenizerSource } from './tokenizer-files';
import { truncatePair } from './truncation';

/** Ids of one text or pair, special tokens included. The attention mask is 1 on all of them. */
export interface Encoding {
  readonly ids: number[];
  /** How many leading tokens have type 0; those after have type 1 (the second text of a pair). */
  readonly firstLength: number;
  /** Whether the maximum length cost tokens. */
  readonly truncated: boolean;
}

export interface EncodeOptions {
  /** Longest result in tokens, special tokens included. Default: no truncation. */
  readonly maxLength?: number;
  /** Put the model's special tokens around the text; default true. */
  readonly specialTokens?: boolean;
}

export type TokenizerKind = 'wordpiece' | 'byte-bpe';
const SPECIAL_ROLES = ['pad', 'unk', 'cls', 'sep', 'mask', 'bos', 'eos'] as const;
/** Special tokens by role; a role is absent when the tokenizer has no such token. */
export type SpecialRole = (typeof SPECIAL_ROLES)[number];

/** Text to token ids and back, equal to Hugging Face's fast tokenizers. */
export class Tokenizer {
  readonly kind: TokenizerKind;
  /** One above the largest token id: the least number of rows of an embedding table. */
  readonly vocabularySize: number;
  readonly padId: number;
  readonly special: Readonly<Partial<Record<SpecialRole, number>>>;
  readonly #encoder: PieceEncoder;
  readonly #template: Template;
  readonly #keepEnd: boolean;
  #decoder: LibraryTokenizer | undefined;

  constructor(readonly source: TokenizerSource) {
    const { definition } = source;
    const ids = tokenIds(source);
    this.kind = definition.model.merges === undefined ? 'wordpiece' : 'byte-bpe';
    this.vocabularySize = [...ids.values()].reduce((top, id) => Math.max(top, id), -1) + 1;
    this.special = specialTokens(source, ids);
    this.padId = padId(this.special);
    this.#template = readTemplate(definition.post_processor);
    this.#keepEnd = definition.truncation?.direction === 'Left';
    this.#encoder = selectEncoder(source);
  }

  /**
   * Encodes one text or a pair. A text that is too long loses its end; of a pair, the longer text loses tokens first.
   * @throws ModelpressError `tokenizer.max-length` when `maxLength` has no room for the special tokens.
   */
  encode(text: string, pair?: string, { maxLength = Infinity, specialTokens = true }: EncodeOptions = {}): Encoding {
    if (pair !== undefined) return this.#encodePair(text, pair, maxLength, specialTokens);
    const [before, after] = specialTokens ? this.#template.single : [[], []];
    const room = this.#room(maxLength, before.length + after.length);
    const ids = [...before];
    const limit = before.length + room;
    this.#encoder.encode(text, ids, this.#keepEnd ? Infinity : limit + 1);
    const truncated = ids.length > limit;
    if (truncated) ids.splice(this.#keepEnd ? before.length : limit, ids.length - limit);
    ids.push(...after);
    return { ids, firstLength: ids.length, truncated };
  }

  #encodePair(text: string, pair: string, maxLength: number, specialTokens: boolean): Encoding {
    const { pair: specials, firstOfBetween } = this.#template;
    const [before, between, after] = specialTokens ? specials : [[], [], []];
    const room = this.#room(maxLength, before.length + between.length + after.length);
    const first: number[] = [];
    const second: number[] = [];
    const limit = this.#keepEnd ? Infinity : maxLength + 1;
    this.#encoder.encode(text, first, limit);
    this.#encoder.encode(pair, second, limit);
    const [firstRoom, secondRoom] = truncatePair(first.length, second.length, room, maxLength);
    const truncated = first.length + second.length > room;
    const ids = [...before];
    this.#append(ids, first, firstRoom);
    const firstEnd = ids.length;
    ids.push(...between);
    this.#append(ids, second, secondRoom);
    ids.push(...after);
    if (firstOfBetween === undefined) return { ids, firstLength: ids.length, truncated };
    return { ids, firstLength: firstEnd + (specialTokens ? firstOfBetween : 0), truncated };
  }

  /**
   * Encodes what a language model learns to write: source, end, target, end. Without a target: the prompt alone, up to
   * where the target would start. Of a pair that is too long the longer text loses its end.
   * @throws ModelpressError `tokenizer.special-token` when there is no end-of-text token.
   */
  encodeGeneration(source: string, target?: string, { maxLength = Infinity }: EncodeOptions = {}): Encoding {
    const end = this.special.eos ?? this.special.sep;
    if (end === undefined) {
      throw invalid('tokenizer.special-token', 'Generation needs an end-of-text token, which the tokenizer lacks.');
    }
    const room = this.#room(maxLength, target === undefined ? 1 : 2);
    const first: number[] = [];
    const second: number[] = [];
    this.#encoder.encode(source, first, maxLength + 1);
    if (target !== undefined) this.#encoder.encode(target, second, maxLength + 1);
    const [firstRoom, secondRoom] = truncatePair(first.length, second.length, room, maxLength);
    const ids = [...first.slice(0, firstRoom), end];
    const firstLength = ids.length;
    if (target !== undefined) ids.push(...second.slice(0, secondRoom), end);
    return { ids, firstLength, truncated: first.length + second.length > room };
  }

  /** The text of ids. Special tokens are left out unless asked for. */
  decode(ids: readonly number[], { skipSpecialTokens = true } = {}): string {
    this.#decoder ??= libraryTokenizer(this.source);
    return ids.length === 0
      ? ''
      : this.#decoder.decode([...ids], {
          skip_special_tokens: skipSpecialTokens,
          clean_up_tokenization_spaces: false,
        });
  }

  #append(ids: number[], tokens: readonly number[], room: number): void {
    const start = this.#keepEnd ? Math.max(0, tokens.length - room) : 0;
    const end = Math.min(tokens.length, start + room);
    for (let i = start; i < end; i++) ids.push(tokens[i]);
  }

  #room(maxLength: number, specials: number): number {
    if (maxLength < specials || Number.isNaN(maxLength)) {
      throw invalid(
        'tokenizer.max-length',
        `A maximum length of ${maxLength} tokens has no room for the ${specials} special tokens of this tokenizer.`,
        { field: 'maxLength' },
      );
    }
    return maxLength - specials;
  }
}

/** Reads the tokenizer of a bundle or checkpoint folder. @throws ModelpressError `tokenizer.*` */
export const loadTokenizer = async (folder: string): Promise<Tokenizer> =>
  new Tokenizer(await readTokenizerSource(folder));

function tokenIds({ definition }: TokenizerSource): Map<string, number> {
  const { vocab } = definition.model;
  const ids = new Map(Array.isArray(vocab) ? vocab.map(([token], id) => [token, id]) : Object.entries(vocab));
  for (const { content, id } of definition.added_tokens) ids.set(content, id);
  return ids;
}

/** Names by role where tokenizer_config.json is silent. */
const USUAL_NAMES: Readonly<Record<SpecialRole, readonly string[]>> = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
  bos: ['<s>', '<|endoftext|>'],
  eos: ['</s>', '<|endoftext|>'],
};

function specialTokens(
  { config }: TokenizerSource,
  ids: ReadonlyMap<string, number>,
): Partial<Record<SpecialRole, number>> {
  const special: Partial<Record<SpecialRole, number>> = {};
  for (const role of SPECIAL_ROLES) {
    const stated = config[`${role}_token`];
    const names = stated === undefined ? USUAL_NAMES[role] : [stated];
    const id = names.map((name) => ids.get(name)).find((found) => found !== undefined);
    if (id !== undefined) special[role] = id;
  }
  return special;
}

/** Without a padding token the end-of-text token pads, as is usual for GPT-2. */
function padId({ pad, eos }: Partial<Record<SpecialRole, number>>): number {
  const id = pad ?? eos;
  if (id === undefined) {
    throw invalid('tokenizer.special-token', 'The tokenizer has neither a padding nor an end-of-text token.', {
      file: 'tokenizer_config.json',
      field: 'pad_token',
    });
  }
  return id;
}
