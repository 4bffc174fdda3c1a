/** @file The parts of a Hugging Face tokenizer.json and tokenizer_config.json that modelpress reads. */
import { z } from 'zod';
import { invalid } from '../errors';

const addedToken = z.looseObject({
  id: z.int().min(0),
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(false),
  special: z.boolean().default(false),
});
export type AddedToken = z.infer<typeof addedToken>;

const component = z.looseObject({ type: z.string() });
export type TokenizerComponent = z.infer<typeof component>;

/** vocab.json: ids by token. */
export const vocabularySchema = z.record(z.string(), z.int().min(0));

const tokenizerDefinitionSchema = z.looseObject({
  version: z.string().default('1.0'),
  added_tokens: z.array(addedToken).default([]),
  normalizer: component.nullable().default(null),
  pre_tokenizer: component.nullable().default(null),
  post_processor: component.nullable().default(null),
  decoder: component.nullable().default(null),
  truncation: z
    .looseObject({ direction: z.enum(['Left', 'Right']).default('Right') })
    .nullable()
    .default(null),
  model: z.looseObject({
    /** Absent in some old files, whose model is known by its fields. */
    type: z.string().optional(),
    /** Ids by token; of a Unigram model, tokens with their scores in id order. */
    vocab: z.union([vocabularySchema, z.array(z.tuple([z.string(), z.number()]))]),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).optional(),
  }),
});
/** A tokenizer.json. */
export type TokenizerDefinition = z.infer<typeof tokenizerDefinitionSchema>;

const tokenName = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullable()
  .optional()
  .transform((token) => (typeof token === 'string' ? token : token?.content));

const tokenizerConfigSchema = z.looseObject({
  tokenizer_class: z.string().optional(),
  do_lower_case: z.boolean().optional(),
  strip_accents: z.boolean().nullable().optional(),
  tokenize_chinese_chars: z.boolean().optional(),
  add_prefix_space: z.boolean().optional(),
  model_max_length: z.number().optional(),
  pad_token: tokenName,
  unk_token: tokenName,
  cls_token: tokenName,
  sep_token: tokenName,
  mask_token: tokenName,
  bos_token: tokenName,
  eos_token: tokenName,
});
/** A tokenizer_config.json; token names are plain strings here. */
export type TokenizerConfig = z.infer<typeof tokenizerConfigSchema>;

/** Everything that defines a tokenizer; plain JSON, so that it can be sent to a worker thread. */
export interface TokenizerSource {
  readonly definition: TokenizerDefinition;
  readonly config: TokenizerConfig;
}

/** Checks the JSON of tokenizer_config.json. @throws ModelpressError `tokenizer.invalid` with the field's path. */
export const parseTokenizerConfig = (config: unknown): TokenizerConfig =>
  parseJson(tokenizerConfigSchema, config, 'tokenizer_config.json');

/** Checks the JSON of a tokenizer. @throws ModelpressError `tokenizer.invalid` with the field's path. */
export function parseTokenizerSource(definition: unknown, config: unknown): TokenizerSource {
  return {
    definition: parseJson(tokenizerDefinitionSchema, definition, 'tokenizer.json'),
    config: parseTokenizerConfig(config),
  };
}

/** @throws ModelpressError `tokenizer.invalid` with the file and the field's path. */
export function parseJson<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  throw invalid('tokenizer.invalid', `${file} is not a tokenizer definition: ${field}: ${issue?.message}.`, {
    file,
    field,
  });
}
