import { createReadStream } from 'node:fs';
import type { Split } from '../dataset';

/** A file to import: on disk, or inside an archive. */
export interface SourceFile {
  /** Path within what is imported, with `/`; without the suffix of a compression. */
  readonly name: string;
  /** Size of what is read from disk, for progress. */
  readonly bytes: number;
  /** Split that the user assigned. */
  readonly split?: Split;
  /** The content, unpacked. May be called again. */
  open(): AsyncIterable<Uint8Array>;
}

export const CHUNK_BYTES = 2 ** 18;

/** The bytes of a file on disk. */
export const openFile = (path: string): AsyncIterable<Uint8Array> =>
  createReadStream(path, { highWaterMark: CHUNK_BYTES });

/** The whole content, up to `maxBytes`; undefined when there is more. */
export async function readWhole(file: SourceFile, maxBytes: number): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of file.open()) {
    size += part.byteLength;
    if (size > maxBytes) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
