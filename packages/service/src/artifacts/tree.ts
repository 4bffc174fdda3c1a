/** @file A folder as a list of files, and its digest. */
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { invalid } from '@modelpress/core';
import { canonicalJson, sha256 } from '../planner/stage-key';

/** One file of a folder; `path` is relative, with `/`. */
export interface TreeFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Equal folders have equal digests, whatever the order in which their files were found. */
export const treeDigest = (files: readonly TreeFile[]): string =>
  sha256(
    canonicalJson(
      [...files].sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ path, sha256, bytes }) => [path, sha256, bytes]),
    ),
  );

/** Paths of the files in a folder, sorted. @throws ModelpressError `artifact.not-a-file` for a link or a device. */
export async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: string[] = [];
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const path = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/');
    if (!entry.isFile())
      throw invalid('artifact.not-a-file', `${path} is neither a file nor a folder.`, { file: path });
    files.push(path);
  }
  return files.sort();
}

/** Whether a path stays inside the folder it is relative to. */
export function isContained(path: string): boolean {
  if (path.includes('\0') || path.includes('\\')) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
