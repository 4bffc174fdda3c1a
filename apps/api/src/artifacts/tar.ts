/** @file A tar written as a stream, so that a folder of any size is one download whose length is known before. */
import type { Readable } from 'node:stream';
import { Header, Pax } from 'tar';

const BLOCK = 512;

export interface TarEntry {
  readonly path: string;
  readonly bytes: number;
  readonly open: () => Promise<Readable>;
}

/** What stands before a file's bytes: its header, after an extended one where a path is too long for it. */
export function tarHeader({ path, bytes }: Omit<TarEntry, 'open'>, modified: Date): Buffer {
  const facts = { path, size: bytes, mtime: modified, mode: 0o644, type: 'File' } as const;
  const block = Buffer.alloc(BLOCK);
  const tooLong = new Header(facts).encode(block);
  return tooLong ? Buffer.concat([new Pax(facts).encode(), block]) : block;
}

const padding = (bytes: number): number => (BLOCK - (bytes % BLOCK)) % BLOCK;

/** Bytes of the whole tar. */
export const tarSize = (entries: readonly TarEntry[], modified: Date): number =>
  entries.reduce(
    (total, entry) => total + tarHeader(entry, modified).length + entry.bytes + padding(entry.bytes),
    2 * BLOCK,
  );

/** The tar's bytes; files are opened one after the other. */
export async function* tar(entries: readonly TarEntry[], modified: Date): AsyncGenerator<Uint8Array> {
  for (const entry of entries) {
    yield tarHeader(entry, modified);
    for await (const chunk of await entry.open()) yield chunk as Uint8Array;
    yield Buffer.alloc(padding(entry.bytes));
  }
  yield Buffer.alloc(2 * BLOCK);
}
