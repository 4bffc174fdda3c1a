/** @file The files by which sentence-transformers says how hidden states become an embedding. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unsupported } from '../errors';
import { readJsonFile } from './read-config';

const MODULES_FILE = 'modules.json';
const POOLING_FOLDER = '1_Pooling';
const MEAN = 'pooling_mode_mean_tokens';

interface Module {
  readonly type?: unknown;
  readonly path?: unknown;
}

/**
 * Whether the folder's embeddings are scaled to length 1 (false without such files).
 * @throws `config.pooling` when it pools in another way than by the mean over tokens
 */
export async function readEmbeddingStyle(dir: string): Promise<{ normalize: boolean }> {
  const json = await readJsonFile(dir, MODULES_FILE);
  const modules: readonly (Module | null)[] = Array.isArray(json) ? json : [];
  const types = modules.map((module) => String(module?.type).split('.').at(-1));
  const strange = types.find((type) => !['Transformer', 'Pooling', 'Normalize'].includes(type ?? ''));
  if (strange !== undefined) throw poolingError(`it has a module "${strange}"`);
  if (types.includes('Pooling')) await requireMean(dir);
  return { normalize: types.includes('Normalize') };
}

async function requireMean(dir: string): Promise<void> {
  const json = (await readJsonFile(join(dir, POOLING_FOLDER), 'config.json')) ?? {};
  const modes = Object.entries(json).filter(([name, on]) => name.startsWith('pooling_mode_') && on === true);
  const other = modes.find(([name]) => name !== MEAN);
  if (other) throw poolingError(`it pools by ${other[0]}`);
}

const poolingError = (reason: string): Error =>
  unsupported(
    'config.pooling',
    `The sentence encoder cannot be imported: ${reason}; modelpress takes the mean over tokens.`,
    {
      file: MODULES_FILE,
    },
  );

/** Writes the files for a mean-pooled encoder. */
export async function writeEmbeddingStyle(
  dir: string,
  {
    hidden,
    maxLength,
    normalize,
  }: { readonly hidden: number; readonly maxLength: number; readonly normalize: boolean },
): Promise<void> {
  const module = (idx: number, path: string, type: string): object => ({
    idx,
    name: String(idx),
    path,
    type: `sentence_transformers.models.${type}`,
  });
  const modules = [
    module(0, '', 'Transformer'),
    module(1, POOLING_FOLDER, 'Pooling'),
    ...(normalize ? [module(2, '2_Normalize', 'Normalize')] : []),
  ];
  const write = (path: string, value: unknown): Promise<void> =>
    writeFile(join(dir, path), `${JSON.stringify(value, null, 2)}\n`);
  await mkdir(join(dir, POOLING_FOLDER), { recursive: true });
  await write(MODULES_FILE, modules);
  await write(join(POOLING_FOLDER, 'config.json'), { word_embedding_dimension: hidden, [MEAN]: true });
  await write('sentence_bert_config.json', { max_seq_length: maxLength, do_lower_case: false });
}
