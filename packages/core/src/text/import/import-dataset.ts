import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid, throwIfAborted } from '../../errors';
import { SPLITS } from '../dataset';
import type { DatasetInfo, DatasetKind, Split } from '../dataset';
import { readSplit, splitFile } from '../read';
import { collectFiles } from './collect';
import { partsForKind, tellKind, toExample } from './kind';
import { openParts } from './open-parts';
import type { OpenPart } from './open-parts';
import { AUTO_SPLITS } from './options';
import type { ImportOptions, SplitShares } from './options';
import { planParts } from './plan';
import type { SourceFile } from './source-file';
import { SplitWriter } from './split-writer';
import { stratify } from './stratify';
import { classLabels, dataWarnings } from './warnings';

type Writers = Partial<Record<Split, SplitWriter>>;
type Warn = (message: string) => void;

/** Rows between two reports of progress. */
const REPORT_EVERY = 10_000;

/** Fewer rows are not cut by `splits: 'auto'`: figures on a handful of texts say nothing. */
const SMALLEST_TO_SPLIT = 50;

/**
 * Turns files of any supported format into a data set folder: dataset.json and one JSONL file per split. Streams; needs
 * 8 bytes of memory a row, except for JSON and YAML files, which are read whole.
 * @param folder Must be empty or absent; left empty if the import fails.
 * @throws ModelpressError `dataset.*` with field, file and line where they are known.
 */
export async function importDataset(options: ImportOptions, folder: string): Promise<DatasetInfo> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) {
    throw invalid('dataset.folder', 'The folder for the data set must be empty.', { field: 'folder' });
  }
  const collected = await collectFiles(options.source);
  try {
    const files = collected.files.map((file) => abortable(file, options.signal));
    const info = await importFiles(files, options, folder);
    await writeFile(join(folder, 'dataset.json'), `${JSON.stringify(info, null, 2)}\n`);
    return info;
  } catch (error) {
    await Promise.all((await readdir(folder)).map((name) => rm(join(folder, name), { recursive: true })));
    throw error;
  } finally {
    collected.close();
  }
}

async function importFiles(files: readonly SourceFile[], options: ImportOptions, folder: string): Promise<DatasetInfo> {
  const warnings: string[] = [];
  const warn: Warn = (message) => warnings.push(message);
  const opened = await openParts(await planParts(files, options, warn), options.mapping ?? {}, warn);
  const kind = options.kind ?? (await tellKind(opened));
  const parts = partsForKind(opened, kind, warn);
  const copied = await copyParts(parts, kind, options, folder);
  const written = await moveToTrain(copied, folder, warn);
  const shares = options.splits === 'auto' ? missingSplits(written, kind, warn) : (options.splits ?? {});
  const writers = await cutSplits(written, shares, options, folder);
  const labels = classLabels(writers, kind, parts.find((part) => part.labels)?.labels);
  warnings.push(...dataWarnings(writers, labels));
  return {
    format: 1,
    name: options.name,
    kind,
    labels,
    splits: Object.fromEntries(
      SPLITS.flatMap((split) => (writers[split] ? [[split, writers[split].statistics()]] : [])),
    ),
    warnings,
  };
}

/** Writes every example to the file of its split. @throws ModelpressError `dataset.empty`. */
async function copyParts(
  parts: readonly OpenPart[],
  kind: DatasetKind,
  { signal, onProgress }: ImportOptions,
  folder: string,
): Promise<Writers> {
  const writers: Writers = {};
  let rows = 0;
  try {
    for (const part of parts) {
      for await (const raw of part.examples()) {
        const split = part.split ?? raw.split ?? 'train';
        const writer = (writers[split] ??= await SplitWriter.create(join(folder, splitFile(split))));
        await writer.write(toExample(raw, kind, part.name));
        if (++rows % REPORT_EVERY !== 0) continue;
        throwIfAborted(signal);
        onProgress?.(rows);
      }
    }
  } finally {
    await closeAll(writers);
  }
  if (rows === 0) {
    throw invalid('dataset.empty', `There are no rows in ${parts.map(({ name }) => name).join(', ')}.`, {
      file: parts[0].name,
    });
  }
  onProgress?.(rows);
  return writers;
}

/** Data without a train split: dev, else test, becomes it. */
async function moveToTrain(writers: Writers, folder: string, warn: Warn): Promise<Writers> {
  if (writers.train) return writers;
  const split = writers.dev ? 'dev' : 'test';
  warn(`There is no train split; ${split} serves as one.`);
  await rename(join(folder, splitFile(split)), join(folder, splitFile('train')));
  const { [split]: train, ...others } = writers;
  return train ? { ...others, train } : others;
}

/** What `splits: 'auto'` means for this data. */
function missingSplits({ train, dev, test }: Writers, kind: DatasetKind, warn: Warn): SplitShares {
  if (kind === 'unlabelled' || train === undefined || train.rows < SMALLEST_TO_SPLIT) return {};
  const shares: SplitShares = { ...(dev ? {} : { dev: AUTO_SPLITS.dev }), ...(test ? {} : { test: AUTO_SPLITS.test }) };
  const cut = Object.entries(shares).map(([split, share]) => `${100 * share} % as ${split}`);
  if (cut.length > 0) warn(`Cut off from train, by label and seed: ${cut.join(', ')}.`);
  return shares;
}

/** Cuts dev and test off train where asked for. @throws ModelpressError `dataset.split`. */
async function cutSplits(
  writers: Writers,
  splits: SplitShares,
  { seed = 0, signal }: ImportOptions,
  folder: string,
): Promise<Writers> {
  const wanted = (['dev', 'test'] as const).filter((split) => splits[split] !== undefined);
  if (wanted.length === 0) return writers;
  const shares = wanted.map((split) => splits[split] ?? 0);
  checkShares(wanted, shares, writers);
  const assigned = stratify(await rowClasses(folder), shares, seed);
  const whole = join(folder, splitFile('train'));
  const cut: Writers = {};
  const names: Split[] = ['train', ...wanted];
  const temporary = (split: Split): string => join(folder, `${split}.cut`);
  try {
    for (const split of names) cut[split] = await SplitWriter.create(temporary(split));
    let row = 0;
    for await (const example of readSplit(folder, 'train')) {
      await cut[names[assigned[row]]]?.write(example);
      if (++row % REPORT_EVERY === 0) throwIfAborted(signal);
    }
  } finally {
    await closeAll(cut);
  }
  await rm(whole);
  for (const split of names) await rename(temporary(split), join(folder, splitFile(split)));
  return { ...writers, ...cut };
}

function checkShares(wanted: readonly Split[], shares: readonly number[], writers: Writers): void {
  const taken = wanted.find((split) => writers[split]);
  if (taken) {
    throw invalid('dataset.split', `The data has a ${taken} split of its own; none can be cut off train.`, {
      field: `splits.${taken}`,
    });
  }
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (shares.every((share) => share > 0 && share < 1) && total < 1) return;
  throw invalid('dataset.split', 'The shares to cut off must be above 0 and together below 1.', { field: 'splits' });
}

/** Class number of each train row; rows without a class are all of one. */
async function rowClasses(folder: string): Promise<Uint32Array> {
  const classes = new Map<string, number>();
  const rows: number[] = [];
  for await (const { label } of readSplit(folder, 'train')) {
    const name = typeof label === 'string' ? label : '';
    let index = classes.get(name);
    if (index === undefined) classes.set(name, (index = classes.size));
    rows.push(index);
  }
  return Uint32Array.from(rows);
}

async function closeAll(writers: Writers): Promise<void> {
  for (const writer of Object.values(writers)) await writer.close();
}

const abortable = (file: SourceFile, signal: AbortSignal | undefined): SourceFile => ({
  ...file,
  async *open() {
    for await (const bytes of file.open()) {
      throwIfAborted(signal);
      yield bytes;
    }
  },
});
