import { z } from 'zod';
import type { AddedToken, TokenizerDefinition, TokenizerSource } from '../tokenizer-definition';
import { AddedTokens } from './added-tokens';
import { BytePairEncoder } from './byte-pair';
import { libraryTokenizer } from './library';
import type { PieceEncoder } from './piece-encoder';
import { WordPieceEncoder } from './word-piece';

const vocab = z.record(z.string(), z.int());

/** BERT's pipeline, as `WordPieceEncoder` implements it. */
const wordPiecePipeline = z.object({
  normalizer: z.object({
    type: z.literal('BertNormalizer'),
    clean_text: z.literal(true),
    handle_chinese_chars: z.boolean(),
    strip_accents: z.boolean().nullish(),
    lowercase: z.boolean(),
  }),
  pre_tokenizer: z.object({ type: z.literal('BertPreTokenizer') }),
  model: z.object({
    type: z.literal('WordPiece').optional(),
    unk_token: z.string(),
    continuing_subword_prefix: z.string().min(1),
    max_input_chars_per_word: z.int(),
    vocab,
  }),
});

/** GPT-2's pipeline, as `BytePairEncoder` implements it. */
const bytePairPipeline = z.object({
  normalizer: z.null(),
  pre_tokenizer: z.object({
    type: z.literal('ByteLevel'),
    add_prefix_space: z.boolean(),
    use_regex: z.literal(true).optional(),
  }),
  model: z.object({
    type: z.literal('BPE').optional(),
    dropout: z.null().optional(),
    unk_token: z.null().optional(),
    continuing_subword_prefix: z.literal('').nullish(),
    end_of_word_suffix: z.literal('').nullish(),
    byte_fallback: z.literal(false).optional(),
    ignore_merges: z.literal(false).optional(),
    vocab,
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});

/**
 * The encoder for a tokenizer.json. The two usual pipelines run in our own encoders, which are several times faster
 * than `@huggingface/tokenizers` and equal the reference implementation where that library does not (rare Han blocks,
 * final sigma). Every other pipeline runs in the library.
 */
export function selectEncoder(source: TokenizerSource): PieceEncoder {
  const { definition } = source;
  if (!definition.added_tokens.some(({ single_word: singleWord }) => singleWord)) {
    const own = wordPieceEncoder(definition) ?? bytePairEncoder(definition);
    if (own !== undefined) return own;
  }
  return libraryEncoder(source);
}

function wordPieceEncoder(definition: TokenizerDefinition): PieceEncoder | undefined {
  const parsed = wordPiecePipeline.safeParse(definition);
  // A token that is looked for in normalized text would need the normalizer to run first.
  if (!parsed.success || definition.added_tokens.some(({ normalized }) => normalized)) return undefined;
  const { normalizer, model } = parsed.data;
  const encoder = new WordPieceEncoder(
    {
      vocab: model.vocab,
      unknown: model.unk_token,
      prefix: model.continuing_subword_prefix,
      maxWordLength: model.max_input_chars_per_word,
    },
    {
      lowercase: normalizer.lowercase,
      stripAccents: normalizer.strip_accents ?? normalizer.lowercase,
      splitHan: normalizer.handle_chinese_chars,
    },
  );
  return withAddedTokens(definition.added_tokens, encoder);
}

function bytePairEncoder(definition: TokenizerDefinition): PieceEncoder | undefined {
  const parsed = bytePairPipeline.safeParse(definition);
  if (!parsed.success) return undefined;
  const { pre_tokenizer: preTokenizer, model } = parsed.data;
  const encoder = new BytePairEncoder({
    vocab: model.vocab,
    merges: model.merges,
    prefixSpace: preTokenizer.add_prefix_space,
  });
  const { added_tokens: tokens } = definition;
  // Two passes as the reference makes them, although without a normalizer they see the same text.
  const normalized = withAddedTokens(
    tokens.filter(({ normalized }) => normalized),
    encoder,
  );
  return withAddedTokens(
    tokens.filter(({ normalized }) => !normalized),
    normalized,
  );
}

function withAddedTokens(tokens: readonly AddedToken[], encoder: PieceEncoder): PieceEncoder {
  const added = new AddedTokens(tokens);
  return {
    encode: (text, out, limit) =>
      added.split(
        text,
        (piece) => encoder.encode(piece, out, limit),
        (id) => out.push(id),
      ),
  };
}

function libraryEncoder(source: TokenizerSource): PieceEncoder {
  const library = libraryTokenizer(source);
  return {
    encode(text, out) {
      for (const id of library.encode(text, { add_special_tokens: false }).ids) out.push(id);
    },
  };
}
