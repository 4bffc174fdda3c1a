/** @file Compressed uploads, unpacked as streams and never onto disk, within bounds. */
import { pipeline } from 'node:stream';
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { openPromise } from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { invalid, limitExceeded, ModelpressError } from '../../errors';
import { MAX_EXPANDED_BYTES, MAX_EXPANSION_RATIO, MAX_FILES, RATIO_FREE_BYTES } from './limits';
import { CHUNK_BYTES } from './source-file';
import type { SourceFile } from './source-file';

/** Unpacks a gzip file. @throws ModelpressError `dataset.archive`, `dataset.archive-too-large`. */
export async function* gunzip(path: string, name: string, packedBytes: number): AsyncGenerator<Uint8Array> {
  const unpacked = createGunzip({ chunkSize: CHUNK_BYTES });
  pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), unpacked, () => undefined);
  yield* bounded(unpacked, name, packedBytes);
}

/**
 * Lists the files of a zip archive. The archive stays open until `close`.
 * @throws ModelpressError `dataset.archive` for a damaged or encrypted archive and for names that leave the archive,
 * `dataset.archive-too-large`.
 */
export async function openZip(path: string, name: string): Promise<{ files: SourceFile[]; close(): void }> {
  const zip = await readable(name, () => openPromise(path, { lazyEntries: true, autoClose: false }));
  try {
    const files = await readable(name, () => zipFiles(zip, name));
    return { files, close: () => zip.close() };
  } catch (error) {
    zip.close();
    throw error;
  }
}

async function zipFiles(zip: ZipFile, archive: string): Promise<SourceFile[]> {
  if (zip.entryCount > MAX_FILES) {
    throw limitExceeded('dataset.archive-too-large', `${archive} holds more than ${MAX_FILES} files.`, {
      file: archive,
    });
  }
  const files: SourceFile[] = [];
  let expanded = 0;
  for await (const entry of zip.eachEntry()) {
    if (entry.fileName.endsWith('/')) continue;
    checkEntry(entry, archive);
    expanded += entry.uncompressedSize;
    if (expanded > MAX_EXPANDED_BYTES) throw tooLarge(archive);
    const { fileName: name, compressedSize: bytes } = entry;
    files.push({ name, bytes, open: () => unzip(zip, entry, archive) });
  }
  return files;
}

function checkEntry(entry: Entry, archive: string): void {
  const isLink = ((entry.externalFileAttributes >>> 16) & 0o170000) === 0o120000;
  if (isLink || entry.isEncrypted()) {
    throw invalid(
      'dataset.archive',
      `${archive} holds ${isLink ? 'a link' : 'an encrypted file'}: ${entry.fileName}.`,
      {
        file: entry.fileName,
      },
    );
  }
}

async function* unzip(zip: ZipFile, entry: Entry, archive: string): AsyncGenerator<Uint8Array> {
  const stream = await readable(archive, () => zip.openReadStreamPromise(entry));
  yield* bounded(stream, entry.fileName, entry.compressedSize);
}

/** Passes a stream on and stops it where it grows beyond what text can. */
async function* bounded(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  packedBytes: number,
): AsyncGenerator<Uint8Array> {
  const ratioBound = Math.max(RATIO_FREE_BYTES, packedBytes * MAX_EXPANSION_RATIO);
  const bound = Math.min(MAX_EXPANDED_BYTES, ratioBound);
  let size = 0;
  const chunks = stream[Symbol.asyncIterator]();
  for (;;) {
    const next = await readable(name, () => chunks.next());
    if (next.done) return;
    size += next.value.byteLength;
    if (size > bound) throw tooLarge(name);
    yield next.value;
  }
}

/** Turns errors of the decompressors into one that names the file. */
async function readable<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ModelpressError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const message = `${name} cannot be unpacked: ${reason}`;
    throw new ModelpressError('invalid', 'dataset.archive', message, { file: name }, { cause: error });
  }
}

const tooLarge = (name: string) =>
  limitExceeded(
    'dataset.archive-too-large',
    `${name} unpacks to more than ${MAX_EXPANSION_RATIO} times its size or ${MAX_EXPANDED_BYTES} bytes.`,
    { file: name },
  );
