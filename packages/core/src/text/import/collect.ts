import { lstat, open, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { invalid, limitExceeded } from '../../errors';
import type { Split } from '../dataset';
import { gunzip, openZip } from './archive';
import { MAX_FILES } from './limits';
import { openFile } from './source-file';
import type { SourceFile } from './source-file';

/** A file named by the user. */
export interface ImportFile {
  readonly path: string;
  /** Name to go by when the path does not tell (an upload in a temporary file). */
  readonly name?: string;
  readonly split?: Split;
}

export interface CollectedFiles {
  readonly files: readonly SourceFile[];
  close(): void;
}

/** Files that accompany data without being data. */
const NOT_DATA = /(^|\/)(\.|license|readme|copying|notice|__macosx)/i;

/**
 * The files of a folder (recursively, in name order) or those given, archives replaced by what they hold.
 * @throws ModelpressError `dataset.no-file`, `dataset.archive*`, `dataset.too-many-files`.
 */
export async function collectFiles(source: string | readonly ImportFile[]): Promise<CollectedFiles> {
  const named = typeof source === 'string' ? await listPath(source) : withoutCompanions(source);
  const files: SourceFile[] = [];
  const archives: { close(): void }[] = [];
  const close = (): void => archives.forEach((archive) => archive.close());
  try {
    for (const { path, name = basename(path), split } of named) {
      const { size } = await fileStatus(path, name);
      const assigned = split === undefined ? {} : { split };
      const kind = await compression(path);
      if (kind === 'zip') {
        const archive = await openZip(path, name);
        archives.push(archive);
        files.push(
          ...archive.files.filter((file) => !NOT_DATA.test(file.name)).map((file) => ({ ...file, ...assigned })),
        );
      } else {
        const plain = name.replace(/\.gz$/i, '');
        const read = kind === 'gzip' ? () => gunzip(path, name, size) : () => openFile(path);
        files.push({ name: plain, bytes: size, open: read, ...assigned });
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  if (files.length === 0) throw invalid('dataset.no-file', 'There is no data file to import.', { field: 'path' });
  return { files, close };
}

/** An uploaded folder comes as a list of files; a file that was named by itself is data whatever its name. */
function withoutCompanions(files: readonly ImportFile[]): readonly ImportFile[] {
  if (files.length === 1) return files;
  return files.filter(({ path, name = basename(path) }) => !NOT_DATA.test(name));
}

async function listPath(path: string): Promise<ImportFile[]> {
  if (!(await fileStatus(path, path, 'path')).isDirectory()) return [{ path }];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  if (entries.length > MAX_FILES) {
    throw limitExceeded('dataset.too-many-files', `The folder holds more than ${MAX_FILES} files.`, { field: 'path' });
  }
  return entries
    .filter((entry) => entry.isFile()) // neither links nor devices
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({ path: file, name: file.slice(path.length).split(/[\\/]/).filter(Boolean).join('/') }))
    .filter(({ name }) => !NOT_DATA.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function fileStatus(path: string, name: string, field?: string) {
  try {
    return await lstat(path);
  } catch (cause) {
    throw invalid('dataset.no-file', `${name} does not exist or cannot be read.`, {
      file: name,
      ...(field ? { field } : {}),
      cause: String(cause),
    });
  }
}

/** Told by the first bytes, as names may lie. */
async function compression(path: string): Promise<'zip' | 'gzip' | 'none'> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (buffer[0] === 0x1f && buffer[1] === 0x8b) return 'gzip';
    return buffer.readUInt32LE() === 0x04034b50 ? 'zip' : 'none';
  } finally {
    await file.close();
  }
}
