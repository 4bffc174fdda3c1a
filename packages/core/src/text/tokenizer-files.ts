import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { invalid, ModelpressError } from '../errors';
import { parseJson, parseTokenizerConfig, parseTokenizerSource, vocabularySchema } from './tokenizer-definition';
import type { TokenizerConfig, TokenizerSource } from './tokenizer-definition';
import { bertTokenizer, bytePairTokenizer, parseMergesTxt, parseVocabTxt } from './tokenizer-vocabulary';

/** Files of a tokenizer, in a bundle or a Hugging Face checkpoint; those present are what a tokenizer is made of. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
] as const;
export type TokenizerFile = (typeof TOKENIZER_FILES)[number];

/**
 * Reads the tokenizer of a folder: tokenizer.json, else vocab.txt, else vocab.json with merges.txt.
 * @throws ModelpressError `tokenizer.missing` when there is none, `tokenizer.invalid` when a file cannot be read.
 */
export async function readTokenizerSource(folder: string): Promise<TokenizerSource> {
  const config = await readConfig(folder);
  const definition = await readJson(folder, 'tokenizer.json');
  if (definition !== undefined) return parseTokenizerSource(definition, config);
  const vocabTxt = await readText(folder, 'vocab.txt');
  if (vocabTxt !== undefined) return bertTokenizer(parseVocabTxt(vocabTxt), config);
  const vocab = await readJson(folder, 'vocab.json');
  const merges = await readText(folder, 'merges.txt');
  if (vocab !== undefined && merges !== undefined) {
    return bytePairTokenizer(parseJson(vocabularySchema, vocab, 'vocab.json'), parseMergesTxt(merges), config);
  }
  throw invalid(
    'tokenizer.missing',
    'No tokenizer found: give tokenizer.json, or vocab.txt, or vocab.json with merges.txt.',
    { file: 'tokenizer.json' },
  );
}

/** tokenizer_config.json, completed by the older special_tokens_map.json. */
async function readConfig(folder: string): Promise<TokenizerConfig> {
  const object = z.record(z.string(), z.unknown());
  const [specials, config] = await Promise.all(
    (['special_tokens_map.json', 'tokenizer_config.json'] as const).map(async (file) =>
      parseJson(object, (await readJson(folder, file)) ?? {}, file),
    ),
  );
  return parseTokenizerConfig({ ...specials, ...config });
}

async function readJson(folder: string, file: TokenizerFile): Promise<unknown> {
  const text = await readText(folder, file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ModelpressError('invalid', 'tokenizer.invalid', `${file} is not JSON.`, { file }, { cause });
  }
}

async function readText(folder: string, file: TokenizerFile): Promise<string | undefined> {
  const path = join(folder, file);
  return existsSync(path) ? readFile(path, 'utf8') : undefined;
}
