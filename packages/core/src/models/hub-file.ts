/** @file One file of a model hub: what the hub says about it, and its bytes. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { limitExceeded, ModelpressError, throwIfAborted } from '../errors';
import type { DownloadProgress } from './hub';

export interface Transfer {
  readonly token: string | undefined;
  readonly maxFileBytes: number;
  readonly attempts: number;
  readonly retryDelayMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: DownloadProgress) => void) | undefined;
}

export interface HubFile {
  readonly name: string;
  readonly size: number | undefined;
  /** 64 hex digits: SHA-256 of the content (large files); 40: its git blob hash; else not a checksum. */
  readonly etag: string | undefined;
  readonly commit: string | undefined;
}

/** Asks for a file's size and checksum; undefined when the hub does not have it. */
export async function head(url: string, name: string, transfer: Transfer): Promise<HubFile | undefined> {
  // The hub states size and checksum of a large file in the redirect itself, so it is not followed.
  const response = await retrying(name, transfer, () =>
    request(url, name, transfer, { method: 'HEAD', redirect: 'manual' }),
  );
  if (response.status === 404) return undefined;
  const { headers } = response;
  const size = headers.get('x-linked-size') ?? (response.status < 300 ? headers.get('content-length') : null);
  const etag = headers.get('x-linked-etag') ?? headers.get('etag');
  return {
    name,
    size: size === null ? undefined : Number(size),
    etag: etag?.replace(/^W\//, '').replaceAll('"', ''),
    commit: headers.get('x-repo-commit') ?? undefined,
  };
}

/**
 * Downloads a file next to its place and moves it there when its checksum is right.
 * @throws `hub.checksum`, `hub.too-large`, `hub.unavailable`
 */
export async function downloadFile(url: string, file: HubFile, path: string, transfer: Transfer): Promise<void> {
  if (file.size !== undefined) checkSize(file.name, file.size, transfer);
  if (existsSync(path) && (await isComplete(path, file))) return;
  const partial = `${path}.partial`;
  await retrying(file.name, transfer, () => receive(url, file, partial, transfer));
  if (!(await isComplete(partial, file))) {
    await rm(partial);
    throw new ModelpressError(
      'unavailable',
      'hub.checksum',
      `${file.name} arrived damaged: its size or checksum is not the hub's.`,
      {
        file: file.name,
      },
    );
  }
  await rename(partial, path);
}

/** Fetches what is missing of a partial file. */
async function receive(url: string, file: HubFile, partial: string, transfer: Transfer): Promise<void> {
  const present = existsSync(partial) ? (await stat(partial)).size : 0;
  if (present > 0 && present === file.size) return;
  const headers: Record<string, string> = present > 0 ? { range: `bytes=${present}-` } : {};
  const response = await request(url, file.name, transfer, { headers });
  const resumed = response.status === 206;
  const handle = await open(partial, resumed ? 'a' : 'w');
  try {
    let received = resumed ? present : 0;
    for await (const chunk of response.body ?? []) {
      received += chunk.byteLength;
      checkSize(file.name, received, transfer);
      await handle.write(chunk);
      transfer.onProgress?.({ file: file.name, receivedBytes: received, totalBytes: file.size ?? received });
      throwIfAborted(transfer.signal);
    }
    if (file.size !== undefined && received < file.size) {
      throw unavailable(file.name, `the connection ended after ${received} of ${file.size} bytes`);
    }
  } finally {
    await handle.close();
  }
}

function checkSize(name: string, bytes: number, { maxFileBytes }: Transfer): void {
  if (bytes <= maxFileBytes) return;
  throw limitExceeded('hub.too-large', `${name} has more than the ${maxFileBytes} bytes that are accepted.`, {
    file: name,
  });
}

/** Whether a file has the stated size and checksum. */
async function isComplete(path: string, { size, etag }: HubFile): Promise<boolean> {
  const actual = (await stat(path)).size;
  if (size !== undefined && actual !== size) return false;
  if (etag && /^[0-9a-f]{64}$/.test(etag)) return (await digest(path, createHash('sha256'))) === etag;
  // A git blob hash covers `blob <size>\0` and the content.
  if (etag && /^[0-9a-f]{40}$/.test(etag))
    return (await digest(path, createHash('sha1').update(`blob ${actual}\0`))) === etag;
  return size !== undefined;
}

async function digest(path: string, hash: Hash): Promise<string> {
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function request(url: string, name: string, { token, signal }: Transfer, init: RequestInit): Promise<Response> {
  const headers = {
    ...(init.headers as Record<string, string> | undefined),
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  };
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, ...(signal ? { signal } : {}) });
  } catch (cause) {
    throwIfAborted(signal);
    throw unavailable(name, 'the hub did not answer', cause);
  }
  const { status } = response;
  if (status === 401 || status === 403) {
    throw new ModelpressError(
      'forbidden',
      'hub.forbidden',
      `The hub refuses ${name} (HTTP ${status}): the model is private or gated, or does not exist.`,
      {
        file: name,
      },
    );
  }
  if (status === 429 || status >= 500) throw unavailable(name, `the hub answered HTTP ${status}`);
  const missing = init.method === 'HEAD' && status === 404;
  if (status >= 400 && !missing) {
    throw new ModelpressError('not-found', 'hub.not-found', `The hub answered HTTP ${status} for ${name}.`, {
      file: name,
    });
  }
  return response;
}

/** Repeats what failed for a reason that may pass. */
async function retrying<T>(
  name: string,
  { attempts, retryDelayMs, signal }: Transfer,
  action: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      throwIfAborted(signal);
      const known = error instanceof ModelpressError ? error : unavailable(name, 'the connection broke', error);
      if (known.kind !== 'unavailable' || attempt >= attempts) throw known;
      await pause(retryDelayMs * 2 ** (attempt - 1), undefined, signal ? { signal } : {});
    }
  }
}

const unavailable = (name: string, reason: string, cause?: unknown): ModelpressError =>
  new ModelpressError(
    'unavailable',
    'hub.unavailable',
    `${name} could not be downloaded: ${reason}.`,
    { file: name },
    { cause },
  );
