import * as fc from 'fast-check';
import { parseTokenizerSource } from '../tokenizer-definition';
import { bertTokenizer, bytePairTokenizer } from '../tokenizer-vocabulary';
import { Tokenizer } from '../tokenizer';
import { truncatePair } from '../truncation';
import { AddedTokens } from './added-tokens';
import { BytePairEncoder } from './byte-pair';
import { libraryTokenizer } from './library';
import { MergeQueue } from './merge-queue';
import { readTemplate } from './template';

const plain = { specialTokens: false };

/** All pieces of up to three letters over a small alphabet that exist with probability a half. */
const wordPieceVocabulary = fc
  .array(fc.stringMatching(/^(##)?[abcé中]{1,3}$/), { minLength: 1, maxLength: 60 })
  .map((pieces) => {
    const tokens = new Set(['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...pieces]);
    return Object.fromEntries([...tokens].map((token, id) => [token, id]));
  });

/** Text of letters in and out of the vocabulary, signs, spaces, accents and special tokens. */
const text = fc
  .array(
    fc.constantFrom(
      'a',
      'b',
      'c',
      'B',
      'é',
      'e\u0301',
      '中',
      ' ',
      '  ',
      '\t',
      '\u00A0',
      ',',
      '-',
      '\u200B',
      '[SEP]',
      '[',
      'x',
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

describe('WordPieceEncoder', () => {
  it.each([true, false])('equals @huggingface/tokenizers, lower-casing %s', (lowercase) => {
    fc.assert(
      fc.property(wordPieceVocabulary, fc.array(text, { maxLength: 5 }), (vocab, texts) => {
        const source = bertTokenizer(vocab);
        const definition = {
          ...source.definition,
          normalizer: { ...source.definition.normalizer, type: 'BertNormalizer', lowercase },
        };
        const tokenizer = new Tokenizer({ ...source, definition });
        const library = libraryTokenizer({ ...source, definition });
        for (const one of texts) {
          expect([one, tokenizer.encode(one, undefined, plain).ids]).toEqual([
            one,
            library.encode(one, { add_special_tokens: false }).ids,
          ]);
        }
      }),
    );
  });

  it('takes a word of up to 100 code points, and the whole word as unknown beyond', () => {
    const tokenizer = new Tokenizer(
      bertTokenizer({ '[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, a: 4, '##a': 5, '##𝒳': 6 }),
    );
    const ids = (word: string) => tokenizer.encode(word, undefined, plain).ids;
    expect(ids('a'.repeat(100))).toHaveLength(100);
    expect(ids('a'.repeat(101))).toEqual([1]);
    expect(ids(`a${'𝒳'.repeat(99)}`)).toHaveLength(100);
  });

  it('needs its special tokens', () => {
    expect(() => bertTokenizer({ '[PAD]': 0, '[UNK]': 1, '[CLS]': 2 })).toThrow(
      expect.objectContaining({ code: 'tokenizer.special-token', details: { token: '[SEP]' } }),
    );
  });
});

const BYTES = ['a', 'b', 'c', 'Ġ', 'Ã', '©'];
/** A byte-level vocabulary of a few bytes and random merges, each of tokens made before. */
const bytePairModel = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 25 }).map((picks) => {
  const tokens = [...BYTES];
  const merges: string[] = [];
  for (const [l, r] of picks) {
    const [left, right] = [tokens[l % tokens.length], tokens[r % tokens.length]];
    if (tokens.includes(left + right)) continue;
    merges.push(`${left} ${right}`);
    tokens.push(left + right);
  }
  return { vocab: Object.fromEntries([...tokens, '<|endoftext|>'].map((token, id) => [token, id])), merges };
});

/** Byte-pair encoding word for word as defined: merge the pair of lowest rank, leftmost first, until none is left. */
function mergeSlowly(symbols: readonly string[], merges: readonly string[]): string[] {
  const word = [...symbols];
  for (;;) {
    const ranks = word.slice(1).map((right, i) => merges.indexOf(`${word[i]} ${right}`));
    const best = Math.min(...ranks.filter((rank) => rank >= 0));
    if (!Number.isFinite(best)) return word;
    const at = ranks.indexOf(best);
    word.splice(at, 2, word[at] + word[at + 1]);
  }
}

describe('BytePairEncoder', () => {
  it('merges as defined', () => {
    fc.assert(
      fc.property(bytePairModel, fc.stringMatching(/^[abcé]{1,40}$/), ({ vocab, merges }, word) => {
        const bytes = Array.from(word).flatMap((letter) => (letter === 'é' ? ['Ã', '©'] : [letter]));
        const expected = mergeSlowly(bytes, merges).map((token) => vocab[token]);
        const out: number[] = [];
        new BytePairEncoder({ vocab, merges, prefixSpace: false }).encode(word, out, Infinity);
        expect(out).toEqual(expected);
      }),
    );
  });

  it('equals @huggingface/tokenizers', () => {
    const words = fc.array(fc.constantFrom('a', 'b', 'c', 'é', ' ', '  ', 'ab', '<|endoftext|>'), { maxLength: 20 });
    fc.assert(
      fc.property(bytePairModel, words, ({ vocab, merges }, parts) => {
        const source = bytePairTokenizer(vocab, merges);
        const joined = parts.join('');
        expect(new Tokenizer(source).encode(joined, undefined, plain).ids).toEqual(
          libraryTokenizer(source).encode(joined, { add_special_tokens: false }).ids,
        );
      }),
    );
  });

  it('merges a word of many letters', () => {
    const { vocab, merges } = { vocab: { a: 0, aa: 1, aaaa: 2, '<|endoftext|>': 3 }, merges: ['a a', 'aa aa'] };
    const { ids } = new Tokenizer(bytePairTokenizer(vocab, merges)).encode('a'.repeat(200_001));
    expect([ids.length, ids[0], ids.at(-1)]).toEqual([50_001, 2, 0]);
  });

  it.each([
    [['a'], 'not two tokens'],
    [['a b c'], 'not two tokens'],
    [['a z'], 'outside the vocabulary'],
  ])('refuses the merges %j', (merges, message) => {
    expect(() => new BytePairEncoder({ vocab: { a: 0, b: 1 }, merges, prefixSpace: false })).toThrow(
      expect.objectContaining({ code: 'tokenizer.merges', message: expect.stringContaining(message) }),
    );
  });
});

describe('MergeQueue', () => {
  it('gives merges by rank, then position', () => {
    const merge = fc.record({ rank: fc.nat(1e5), position: fc.nat(2 ** 31) });
    fc.assert(
      fc.property(fc.array(merge), (merges) => {
        const queue = new MergeQueue();
        for (const { rank, position } of merges) queue.push(rank, position);
        const popped = merges.map(() => queue.pop());
        expect(popped).toEqual([...merges].sort((a, b) => a.rank - b.rank || a.position - b.position));
        expect(queue.pop()).toBeUndefined();
      }),
    );
  });
});

describe('AddedTokens', () => {
  it('prefers the longest, takes neighbouring spaces where asked, and loses no text', () => {
    const token = (id: number, content: string, extra = {}) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
      ...extra,
    });
    const added = new AddedTokens([
      token(1, '<m>', { lstrip: true }),
      token(2, '<m>+'),
      token(3, '.', { rstrip: true }),
    ]);
    const parts: (string | number)[] = [];
    added.split(
      'a  <m> <m>+.  b',
      (piece) => parts.push(piece),
      (id) => parts.push(id),
    );
    expect(parts).toEqual(['a', 1, ' ', 2, 3, 'b']);
  });
});

describe('truncatePair', () => {
  it('fills the room, and cuts no text below half of it', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.nat(60), fc.nat(40), (first, second, room) => {
        const [a, b] = truncatePair(first, second, room, room + 3);
        expect(a + b).toBe(Math.min(room, first + second));
        expect(a).toBeLessThanOrEqual(first);
        expect(b).toBeLessThanOrEqual(second);
        const half = Math.floor(room / 2);
        expect(a).toBeGreaterThanOrEqual(Math.min(first, half));
        expect(b).toBeGreaterThanOrEqual(Math.min(second, half));
      }),
    );
  });
});

describe('readTemplate', () => {
  const template = (pair: object[]) => ({
    type: 'TemplateProcessing',
    single: [{ Sequence: { id: 'A', type_id: 0 } }],
    pair,
    special_tokens: { '[S]': { ids: [7] } },
  });

  it('knows pairs of types 0 and 1, and of type 0 alone', () => {
    const special = (type: number) => ({ SpecialToken: { id: '[S]', type_id: type } });
    const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
    const parse = (pieces: object[]) => readTemplate(template(pieces));
    expect(parse([sequence('A', 0), special(0), special(1), sequence('B', 1)])).toEqual({
      single: [[], []],
      pair: [[], [7, 7], []],
      firstOfBetween: 1,
    });
    expect(parse([special(0), sequence('A', 0), sequence('B', 0)]).firstOfBetween).toBeUndefined();
    const refused = expect.objectContaining({ code: 'tokenizer.template' });
    expect(() => parse([sequence('B', 0), sequence('A', 1)])).toThrow(refused);
    expect(() => parse([sequence('A', 1), sequence('B', 0)])).toThrow(refused);
    expect(() => parse([sequence('A', 0)])).toThrow(refused);
    expect(() => readTemplate({ type: 'Unheard' })).toThrow(refused);
  });
});

describe('Tokenizer', () => {
  const vocab = { '[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, a: 4, b: 5, A: 6 };

  it('tells from the vocabulary whether it lower-cases, unless told', () => {
    const lowercase = (config?: object) => {
      const { definition } = bertTokenizer(vocab, config && parseTokenizerSource({ model: { vocab } }, config).config);
      return definition.normalizer?.['lowercase'];
    };
    expect(lowercase()).toBe(false);
    expect(lowercase({ do_lower_case: true })).toBe(true);
  });

  it('runs other pipelines in the library', () => {
    const definition = {
      normalizer: { type: 'Lowercase' },
      pre_tokenizer: { type: 'Whitespace' },
      model: {
        type: 'WordPiece',
        vocab,
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
      },
    };
    const tokenizer = new Tokenizer(parseTokenizerSource(definition, {}));
    expect(tokenizer.encode('A  b?').ids).toEqual([4, 5, 1]);
  });

  it('says what is wrong with a definition', () => {
    const broken = { model: { type: 'WordPiece', vocab: { a: -1 } } };
    expect(() => parseTokenizerSource(broken, {})).toThrow(
      expect.objectContaining({
        code: 'tokenizer.invalid',
        details: { file: 'tokenizer.json', field: 'model.vocab.a' },
      }),
    );
    const noPad = bertTokenizer(vocab);
    const source = { ...noPad, config: { ...noPad.config, pad_token: 'none' } };
    expect(() => new Tokenizer(source)).toThrow(expect.objectContaining({ code: 'tokenizer.special-token' }));
  });

  it('needs room for the special tokens, and keeps the end where the definition says so', () => {
    const source = bertTokenizer(vocab);
    const tokenizer = new Tokenizer(source);
    expect(() => tokenizer.encode('a', undefined, { maxLength: 1 })).toThrow(
      expect.objectContaining({ code: 'tokenizer.max-length' }),
    );
    expect(tokenizer.encode('a b', undefined, { maxLength: 3 })).toEqual({
      ids: [2, 4, 3],
      firstLength: 3,
      truncated: true,
    });
    const fromEnd = new Tokenizer({
      ...source,
      definition: { ...source.definition, truncation: { direction: 'Left' } },
    });
    expect(fromEnd.encode('a b', undefined, { maxLength: 3 }).ids).toEqual([2, 5, 3]);
    expect(fromEnd.encode('a b', 'a b', { maxLength: 5 }).ids).toEqual([2, 5, 3, 5, 3]);
  });

  it('ends source and target of a generation pair, and cuts the longer one', () => {
    const tokenizer = new Tokenizer(bertTokenizer(vocab));
    expect(tokenizer.encodeGeneration('a b', 'b')).toEqual({ ids: [4, 5, 3, 5, 3], firstLength: 3, truncated: false });
    expect(tokenizer.encodeGeneration('a b')).toEqual({ ids: [4, 5, 3], firstLength: 3, truncated: false });
    expect(tokenizer.encodeGeneration('a b a b', 'b', { maxLength: 5 })).toEqual({
      ids: [4, 5, 3, 5, 3],
      firstLength: 3,
      truncated: true,
    });
  });
});
