/** @file Builds a tokenizer.json from the older files: vocab.txt (BERT) or vocab.json + merges.txt (GPT-2, RoBERTa). */
import { invalid } from '../errors';
import { parseTokenizerConfig, parseTokenizerSource } from './tokenizer-definition';
import type { TokenizerConfig, TokenizerSource } from './tokenizer-definition';

type Vocabulary = Readonly<Record<string, number>>;

/** One token a line, id = line number from 0, as BERT's vocab.txt. */
export function parseVocabTxt(text: string): Record<string, number> {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return Object.fromEntries(lines.map((token, id) => [token, id]));
}

/**
 * A WordPiece tokenizer as BERT's. Whether it lower-cases is taken from `config.do_lower_case`, else told from the
 * vocabulary: one without upper-case words cannot belong to a case-keeping tokenizer.
 * @throws ModelpressError `tokenizer.special-token` when [UNK], [CLS], [SEP] or [PAD] is not in the vocabulary.
 */
export function bertTokenizer(vocab: Vocabulary, config: TokenizerConfig = parseTokenizerConfig({})): TokenizerSource {
  const names = {
    pad: config.pad_token ?? '[PAD]',
    unk: config.unk_token ?? '[UNK]',
    cls: config.cls_token ?? '[CLS]',
    sep: config.sep_token ?? '[SEP]',
  };
  const mask = config.mask_token ?? '[MASK]';
  const specials = [...Object.values(names), ...(mask in vocab ? [mask] : [])];
  const lowercase = config.do_lower_case ?? !hasUpperCaseWords(vocab);
  const definition = {
    version: '1.0',
    added_tokens: addedTokens(specials, vocab),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
      strip_accents: config.strip_accents ?? null,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'BertProcessing',
      sep: [names.sep, idOf(names.sep, vocab)],
      cls: [names.cls, idOf(names.cls, vocab)],
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: names.unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
  return parseTokenizerSource(definition, {
    ...config,
    do_lower_case: lowercase,
    pad_token: names.pad,
    unk_token: names.unk,
    cls_token: names.cls,
    sep_token: names.sep,
    ...(mask in vocab ? { mask_token: mask } : {}),
    tokenizer_class: config.tokenizer_class ?? 'BertTokenizer',
  });
}

/**
 * A byte-level BPE tokenizer. A vocabulary with `<s>` and `</s>` gets RoBERTa's specials, any other GPT-2's, unless
 * `config.tokenizer_class` decides.
 */
export function bytePairTokenizer(
  vocab: Vocabulary,
  merges: readonly string[],
  config: TokenizerConfig = parseTokenizerConfig({}),
): TokenizerSource {
  const roberta =
    config.tokenizer_class === undefined
      ? '<s>' in vocab && '</s>' in vocab
      : config.tokenizer_class.startsWith('Roberta');
  const prefixSpace = config.add_prefix_space ?? false;
  const byteLevel = { type: 'ByteLevel', add_prefix_space: prefixSpace, trim_offsets: true, use_regex: true };
  const definition = {
    version: '1.0',
    added_tokens: roberta ? robertaAddedTokens(vocab) : addedTokens(['<|endoftext|>'], vocab),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: roberta
      ? {
          type: 'RobertaProcessing',
          sep: ['</s>', idOf('</s>', vocab)],
          cls: ['<s>', idOf('<s>', vocab)],
          trim_offsets: true,
          add_prefix_space: prefixSpace,
        }
      : { ...byteLevel, add_prefix_space: true, trim_offsets: false },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
  const names = roberta
    ? {
        bos_token: '<s>',
        cls_token: '<s>',
        eos_token: '</s>',
        sep_token: '</s>',
        pad_token: '<pad>',
        unk_token: '<unk>',
        mask_token: '<mask>',
        tokenizer_class: 'RobertaTokenizer',
      }
    : {
        bos_token: '<|endoftext|>',
        eos_token: '<|endoftext|>',
        unk_token: '<|endoftext|>',
        tokenizer_class: 'GPT2Tokenizer',
      };
  return parseTokenizerSource(definition, { ...names, ...config });
}

/** The lines of merges.txt without its version comment. */
export const parseMergesTxt = (text: string): string[] =>
  text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));

function robertaAddedTokens(vocab: Vocabulary): object[] {
  const plain = addedTokens(['<s>', '<pad>', '</s>', '<unk>'], vocab);
  // <mask> swallows the space before it, so that it stands for a word with its leading space.
  return '<mask>' in vocab ? [...plain, { ...addedTokens(['<mask>'], vocab)[0], lstrip: true }] : plain;
}

const addedTokens = (names: readonly string[], vocab: Vocabulary): object[] =>
  names.map((content) => ({
    id: idOf(content, vocab),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));

function idOf(token: string, vocab: Vocabulary): number {
  const id = vocab[token];
  if (id === undefined) {
    throw invalid('tokenizer.special-token', `The vocabulary has no ${token}, which this kind of tokenizer needs.`, {
      token,
    });
  }
  return id;
}

const hasUpperCaseWords = (vocab: Vocabulary): boolean =>
  Object.keys(vocab).some((token) => /^\p{L}+$/u.test(token) && token !== token.toLowerCase());
