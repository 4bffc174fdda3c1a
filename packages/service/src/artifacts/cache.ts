/** @file Artifacts as folders of this machine. */
import { createWriteStream } from 'node:fs';
import { access, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ModelpressError } from '@modelpress/core';
import type { ArtifactFile } from '../database/entities';
import type { ArtifactStore } from './artifact-store';
import { isContained } from './tree';

/** A folder that stays until it is released. */
export interface Held {
  readonly path: string;
  release(): void;
}

/**
 * Read-only copies of artifacts, by digest, verified while they are fetched. Holds at most `maxBytes` of folders that
 * nobody uses; the ones used longest ago go first. One process owns the folder.
 */
export class ArtifactCache {
  private readonly holders = new Map<string, number>();
  private readonly fetching = new Map<string, Promise<void>>();

  constructor(
    private readonly store: ArtifactStore,
    private readonly folder: string,
    private readonly maxBytes: number,
  ) {}

  /** The artifact's folder, fetched if it is not here. */
  async hold(projectId: string, artifactId: string, signal?: AbortSignal): Promise<Held> {
    const { digest } = await this.store.get(projectId, artifactId);
    const path = join(this.folder, digest);
    this.holders.set(digest, (this.holders.get(digest) ?? 0) + 1);
    const release = (): void => {
      this.holders.set(digest, (this.holders.get(digest) ?? 1) - 1);
    };
    try {
      await this.ensure(digest, path, artifactId, signal);
      return { path, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  private async ensure(digest: string, path: string, artifactId: string, signal?: AbortSignal): Promise<void> {
    const running = this.fetching.get(digest);
    if (running !== undefined) return running;
    const fetch = this.fetchUnlessHere(path, artifactId, signal).finally(() => this.fetching.delete(digest));
    this.fetching.set(digest, fetch);
    return fetch;
  }

  private async fetchUnlessHere(path: string, artifactId: string, signal?: AbortSignal): Promise<void> {
    const now = new Date();
    const here = await utimes(path, now, now).then(
      () => true,
      () => false,
    );
    if (here) return;
    const files = await this.store.files(artifactId);
    await this.makeRoom(files.reduce((sum, { bytes }) => sum + bytes, 0));
    const draft = `${path}.${randomUUID()}.draft`;
    try {
      await fetchFiles(this.store, files, draft, signal);
      await rename(draft, path);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  /** Deletes folders that nobody holds until `bytes` more fit. */
  private async makeRoom(bytes: number): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const entries = await Promise.all(
      (await readdir(this.folder)).map(async (name) => {
        const path = join(this.folder, name);
        return { name, path, usedAt: (await stat(path)).mtimeMs, bytes: await folderBytes(path) };
      }),
    );
    let total = bytes + entries.reduce((sum, entry) => sum + entry.bytes, 0);
    for (const entry of entries.sort((a, b) => a.usedAt - b.usedAt)) {
      // A draft that no fetch of this process makes was left by a crash.
      const abandoned = entry.name.endsWith('.draft') && !this.fetching.has(entry.name.split('.')[0] ?? '');
      const unused = !entry.name.endsWith('.draft') && (this.holders.get(entry.name) ?? 0) === 0;
      if (abandoned || (unused && total > this.maxBytes)) {
        await rm(entry.path, { recursive: true, force: true });
        total -= entry.bytes;
      }
    }
  }
}

/** Writes an artifact's files into a folder, each verified on the way. */
export async function fetchFiles(
  store: ArtifactStore,
  files: readonly ArtifactFile[],
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { path, sha256 } of files) {
    if (!isContained(path)) {
      throw new ModelpressError('internal', 'artifact.path', `${path} leads out of its folder.`, { file: path });
    }
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    const source = await store.objects.get(sha256);
    await pipeline(source, createWriteStream(target, { mode: 0o644 }), { signal });
  }
}

async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Whether a folder or file is there. */
export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
