/** @file JSON files of a checkpoint folder. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid } from '../errors';
import type { HuggingFaceConfig } from './config-huggingface';

/** Reads config.json; undefined when there is none. @throws `config.json` when it is not a JSON object */
export async function readConfigJson(dir: string): Promise<HuggingFaceConfig | undefined> {
  const json = await readJsonFile(dir, 'config.json');
  if (json === undefined) return undefined;
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as HuggingFaceConfig;
  throw invalid('config.json', 'config.json is not a JSON object.', { file: 'config.json' });
}

/** Reads a JSON file; undefined when there is none. @throws `config.json` */
export async function readJsonFile(dir: string, file: string): Promise<unknown> {
  const path = join(dir, file);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw invalid('config.json', `${file} is not JSON: ${(cause as Error).message}`, { file });
  }
}
