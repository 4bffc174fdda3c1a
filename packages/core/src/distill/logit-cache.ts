/** @file Teachers' logits kept between stage runs: a sweep over students asks its teacher once. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Precision } from '../runtime';

/** The least recently used go when there is more than this. */
const MOST_BYTES = 4 * 2 ** 30;

/** What logits depend on: the teacher's files, the texts, how texts are cut, and how it computes. */
export async function logitKey(
  teacher: string,
  texts: string,
  { maxLength, precision }: { readonly maxLength: number; readonly precision: Precision },
): Promise<string> {
  const hash = createHash('sha256').update(`maxLength ${maxLength} ${precision}\n`);
  for (const name of (await readdir(teacher)).sort()) {
    hash.update(`${name}\n`);
    await addFile(hash, join(teacher, name));
  }
  await addFile(hash.update('texts\n'), texts);
  return hash.digest('hex');
}

async function addFile(hash: Hash, path: string): Promise<void> {
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
}

/** Files by key in a folder that several processes may use at a time and that anyone may empty. */
export class LogitCache {
  constructor(
    private readonly folder: string,
    private readonly mostBytes = MOST_BYTES,
  ) {}

  /** Puts what is kept under `key` to `path`; where there is nothing, `make` writes it there, and it is kept. */
  async fetchOr(key: string, path: string, make: () => Promise<void>): Promise<void> {
    const kept = join(this.folder, key);
    if (await this.fetch(kept, path)) return;
    await make();
    await mkdir(this.folder, { recursive: true });
    const coming = `${kept}.${process.pid}`;
    await share(path, coming);
    await rename(coming, kept);
    await this.evict();
  }

  private async fetch(kept: string, path: string): Promise<boolean> {
    try {
      await share(kept, path);
      const now = new Date();
      await utimes(path, now, now);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  private async evict(): Promise<void> {
    const files = await Promise.all(
      (await readdir(this.folder)).map(async (name) => {
        const path = join(this.folder, name);
        // Another process may have removed it in the meantime.
        const found = await stat(path).catch(() => undefined);
        return { path, bytes: found?.size ?? 0, used: found?.mtimeMs ?? 0 };
      }),
    );
    let total = 0;
    for (const { path, bytes } of files.sort((x, y) => y.used - x.used)) {
      total += bytes;
      if (total > this.mostBytes) await rm(path, { force: true });
    }
  }
}

/** A second name for a file that nobody writes to again; a copy where the folders lie on different disks. */
async function share(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EXDEV' && code !== 'EPERM') throw error;
    await copyFile(from, to);
  }
}
