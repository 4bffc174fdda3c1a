/** @file Downloads a checkpoint from a model hub: only known files, resumable, with sizes and checksums verified. */
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { invalid, ModelpressError, throwIfAborted } from '../errors';
import { TOKENIZER_FILES } from '../text/tokenizer-files';
import { shardNames } from './checkpoint';
import { downloadFile, head } from './hub-file';
import type { Transfer } from './hub-file';

export const DEFAULT_HUB = 'https://huggingface.co';

/** Present in some checkpoints; everything else in a repository is never asked for. */
const OPTIONAL_FILES = ['modules.json', '1_Pooling/config.json', ...TOKENIZER_FILES];
const SINGLE_WEIGHTS = 'model.safetensors';
const WEIGHTS_INDEX = 'model.safetensors.index.json';

export interface HubReference {
  /** `owner/name`, or `name` for a few old models. */
  readonly repository: string;
  readonly revision: string;
}

export interface DownloadProgress {
  readonly file: string;
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

export interface DownloadOptions {
  /** Default: the Hugging Face hub. */
  readonly baseUrl?: string;
  /** Access token for private models; sent to the hub only, not to where it redirects. */
  readonly token?: string;
  /** Largest file accepted, in bytes. Default 20 GiB. */
  readonly maxFileBytes?: number;
  /** Tries for each file; a broken transfer goes on where it stopped. Default 5. */
  readonly attempts?: number;
  /** Pause before another try, doubled each time. Default 500 ms. */
  readonly retryDelayMs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
}

export interface Downloaded {
  /** Commit that all files are of, when the hub says it. */
  readonly commit: string | undefined;
  readonly files: readonly string[];
}

/** Reads `hf:owner/name` or `hf:owner/name@revision`. @throws `hub.reference` */
export function parseHubReference(text: string): HubReference {
  const match = /^hf:((?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9][\w.-]{0,95})(?:@([\w.-]{1,100}))?$/.exec(text);
  if (!match || match[1].includes('..') || match[2]?.includes('..')) {
    throw invalid('hub.reference', `"${text}" is not a model reference like hf:owner/name or hf:owner/name@revision.`);
  }
  return { repository: match[1], revision: match[2] ?? 'main' };
}

/**
 * Downloads config, weights and tokenizer into a folder. Files already there are kept when they have the right
 * checksum, partly downloaded ones are continued.
 * @throws `hub.not-found`, `hub.forbidden`, `hub.checksum`, `hub.too-large`, `hub.unavailable` (worth repeating later)
 */
export async function downloadFromHub(
  { repository, revision }: HubReference,
  dir: string,
  options: DownloadOptions = {},
): Promise<Downloaded> {
  const { baseUrl = DEFAULT_HUB, signal } = options;
  await mkdir(dir, { recursive: true });
  const urlOf = (file: string, at: string): string =>
    `${baseUrl.replace(/\/$/, '')}/${repository}/resolve/${at}/${file}`;
  const transfer: Transfer = {
    token: options.token,
    maxFileBytes: options.maxFileBytes ?? 20 * 2 ** 30,
    attempts: options.attempts ?? 5,
    retryDelayMs: options.retryDelayMs ?? 500,
    signal,
    onProgress: options.onProgress,
  };

  const config = await head(urlOf('config.json', revision), 'config.json', transfer);
  if (!config) throw notFound(repository, revision, 'config.json');
  // From here on everything is read at the commit that config.json was of.
  const pinned = config.commit ?? revision;
  const files: string[] = [];
  const get = async (name: string): Promise<boolean> => {
    throwIfAborted(signal);
    const url = urlOf(name, pinned);
    const file = await head(url, name, transfer);
    if (!file) return false;
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await downloadFile(url, file, join(dir, name), transfer);
    files.push(name);
    return true;
  };

  await get('config.json');
  for (const name of OPTIONAL_FILES) await get(name);
  if (!(await get(SINGLE_WEIGHTS))) {
    if (!(await get(WEIGHTS_INDEX))) throw notFound(repository, revision, SINGLE_WEIGHTS);
    for (const shard of shardNames(await readJson(join(dir, WEIGHTS_INDEX)))) {
      if (!(await get(shard))) throw notFound(repository, revision, shard);
    }
  }
  return { commit: config.commit, files };
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new ModelpressError(
      'invalid',
      'hub.index',
      `${WEIGHTS_INDEX} is not JSON.`,
      { file: WEIGHTS_INDEX },
      { cause },
    );
  }
}

const notFound = (repository: string, revision: string, file: string): ModelpressError =>
  new ModelpressError('not-found', 'hub.not-found', `The hub has no ${file} for ${repository} at ${revision}.`, {
    file,
  });
