/** @file Which files make up the data set, and which split each one is. */
import { basename } from 'node:path/posix';
import { invalid } from '../../errors';
import type { Split } from '../dataset';
import { detectEncoding } from './encoding';
import type { Encoding } from './encoding';
import type { Format, ImportOptions } from './options';
import { sniffFormat } from './sniff';
import type { SourceFile } from './source-file';
import { namedSplit } from './split-names';

/** A file with what is needed to read it. */
export interface Part {
  readonly file: SourceFile;
  /** The labels beside a `seq.in` file. */
  readonly labels?: SourceFile;
  readonly format: Format;
  readonly encoding: Encoding;
  /** Undefined: the rows say it, or all is training data. */
  readonly split: Split | undefined;
}

type Warn = (message: string) => void;

/**
 * Chooses the files and their splits.
 * @throws ModelpressError `dataset.no-file`, `dataset.ambiguous` when a folder holds several data sets.
 */
export async function planParts(files: readonly SourceFile[], options: ImportOptions, warn: Warn): Promise<Part[]> {
  const { select, format, source } = options;
  const selected = select === undefined ? files : files.filter(({ name }) => name.includes(select));
  if (selected.length === 0) {
    throw invalid('dataset.no-file', `No file name contains "${select}"; there are ${names(files)}.`, {
      field: 'select',
    });
  }
  const texts = selected.filter(({ name }) => basename(name) === 'seq.in');
  if (format === 'parallel' || (texts.length > 0 && (format ?? 'auto') === 'auto')) {
    return Promise.all(texts.map((file) => parallelPart(file, selected, options)));
  }
  const { several = typeof source === 'string' ? 'versions' : 'parts' } = options;
  const chosen = several === 'versions' ? chooseVersion(selected, warn) : withSplits(selected);
  return Promise.all(chosen.map(({ file, split }) => part(file, split, options, warn)));
}

async function part(file: SourceFile, split: Split | undefined, options: ImportOptions, warn: Warn): Promise<Part> {
  const stated = options.mapping?.encoding;
  const encoding = stated ?? (await detectEncoding(file));
  if (stated === undefined && encoding === 'latin1') {
    warn(`${file.name} is not UTF-8 and was read as latin-1 (windows-1252).`);
  }
  const { format = 'auto' } = options;
  return { file, split, encoding, format: format === 'auto' ? await sniffFormat(file, encoding) : format };
}

async function parallelPart(file: SourceFile, files: readonly SourceFile[], options: ImportOptions): Promise<Part> {
  const name = file.name.replace(/seq\.in$/, 'label');
  const labels = files.find((other) => other.name === name);
  if (labels === undefined) {
    throw invalid('dataset.parallel', `${file.name} needs a file ${name} beside it.`, { file: name });
  }
  const split = file.split ?? namedSplit(file.name).split;
  const encoding = options.mapping?.encoding ?? (await detectEncoding(file));
  return { file, labels, split, encoding, format: 'parallel' };
}

interface Assigned {
  readonly file: SourceFile;
  readonly split: Split | undefined;
}

const withSplits = (files: readonly SourceFile[]): Assigned[] =>
  files.map((file) => ({ file, split: file.split ?? namedSplit(file.name).split }));

/** Files whose names differ only in the split belong together; of several such groups one is the data set. */
function chooseVersion(files: readonly SourceFile[], warn: Warn): Assigned[] {
  if (files.every(({ name }) => /\.ya?ml$/i.test(name))) return withSplits(files);
  const versions = new Map<string, SourceFile[]>();
  for (const file of files) {
    const { rest } = namedSplit(file.name);
    versions.set(rest, [...(versions.get(rest) ?? []), file]);
  }
  const chosen = mainVersion([...versions.keys()], files);
  const left = files.filter((file) => namedSplit(file.name).rest !== chosen);
  if (left.length > 0) warn(`Left out as another version of the data: ${names(left)}. Use "select" to choose.`);
  return resolveSplits(versions.get(chosen) ?? [], warn);
}

/** The only version; or the one called full; or the one whose name all others extend. */
function mainVersion(versions: readonly string[], files: readonly SourceFile[]): string {
  const full = versions.filter((version) => /full/i.test(version));
  const stem = versions.find((version) => versions.every((other) => extendsName(other, version)));
  const main = versions.length === 1 ? versions[0] : full.length === 1 ? full[0] : stem;
  if (main !== undefined) return main;
  throw invalid(
    'dataset.ambiguous',
    `There are several data sets: ${names(files)}. Give one folder, or use "select".`,
    {
      field: 'select',
    },
  );
}

/** `TREC..all` extends `TREC.`: the dots around a split word come and go with it. */
const extendsName = (name: string, stem: string): boolean => name.startsWith(stem.replace(/[^a-z0-9]+$/i, ''));

/** One file per split: with `val` present, `dev` is the labelled test split; references beat their absence. */
function resolveSplits(files: readonly SourceFile[], warn: Warn): Assigned[] {
  const named = files.map((file) => ({ file, ...namedSplit(file.name) }));
  const devs = named.filter(({ split }) => split === 'dev');
  if (devs.length === 2 && devs.some(({ saysDev }) => saysDev) && devs.some(({ saysDev }) => !saysDev)) {
    const kept = named.filter(({ split }) => split !== 'test');
    const tests = named.filter(({ split }) => split === 'test');
    const dev = devs.find(({ saysDev }) => saysDev);
    warn(
      `Beside val, ${dev?.file.name} serves as the test split${tests.length > 0 ? `; ${names(tests.map(({ file }) => file))} is left out` : ''}.`,
    );
    return kept.map(({ file, split, saysDev }) => ({ file, split: saysDev ? 'test' : split }));
  }
  const withReferences = named.some(({ file, split }) => split === 'test' && /_w_refs/.test(file.name));
  return named
    .filter(({ file, split }) => !withReferences || split !== 'test' || /_w_refs/.test(file.name))
    .map(({ file, split }) => ({ file, split }));
}

const names = (files: readonly SourceFile[]): string => {
  const shown = files.slice(0, 12).map(({ name }) => name);
  return `${shown.join(', ')}${files.length > shown.length ? ` and ${files.length - shown.length} more` : ''}`;
};
