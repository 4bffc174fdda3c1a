/** @file The texts that a teacher labels: training texts, unlabelled ones, and made-up ones, as one data set folder. */
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { invalid, throwIfAborted } from '../errors';
import type { StageContext } from '../stages/stage';
import { readDatasetInfo, readSplit } from '../text';
import type { DatasetInfo, Example } from '../text';
import { Random } from '../train/random';
import type { DistillConfig } from './config';

export interface TransferSet {
  /** A data set folder: its train split are the texts, its dev split is the data's (standard mode). */
  readonly folder: string;
  readonly training: number;
  readonly unlabelled: number;
  readonly augmented: number;
}

type Counts = Pick<TransferSet, 'training' | 'unlabelled' | 'augmented'>;

/** Splices need a text to be joined with: one of the last so many. */
const NEIGHBOURS = 1000;
const DROP = 0.2;

/**
 * Writes the transfer set into the checkpoints folder, where a further attempt finds it.
 * @throws invalid `distill.no-unlabelled` in private mode without unlabelled texts
 */
export async function writeTransferSet(
  { mode, augment }: Pick<DistillConfig, 'mode' | 'augment'>,
  labels: readonly string[],
  context: Pick<StageContext, 'datasets' | 'checkpoints' | 'seed' | 'signal'>,
): Promise<TransferSet> {
  const { data, unlabelled } = context.datasets;
  if (mode === 'private' && unlabelled === undefined) {
    throw invalid('distill.no-unlabelled', 'Private distillation learns from unlabelled texts, and none are given.', {
      field: 'datasets.unlabelled',
    });
  }
  const folder = join(context.checkpoints, 'transfer');
  const done = join(folder, 'counts.json');
  if (existsSync(done)) return { folder, ...(JSON.parse(await readFile(done, 'utf8')) as Counts) };
  await mkdir(folder, { recursive: true });
  const own = mode === 'standard' ? data : undefined;
  const info = own === undefined ? undefined : await readDatasetInfo(own);
  const counts = await writeTexts(join(folder, 'train.jsonl'), own, unlabelled, augment, context);
  const dev = info?.splits.dev;
  if (own !== undefined && dev) await copyFile(join(own, 'dev.jsonl'), join(folder, 'dev.jsonl'));
  const rows = counts.training + counts.unlabelled + counts.augmented;
  const unknown = { characters: { p50: 0, p95: 0, max: 0 }, emptyTexts: 0, duplicates: 0 };
  const written: DatasetInfo = {
    format: 1,
    name: 'transfer',
    kind: info?.kind ?? 'classification',
    labels: [...labels],
    splits: { train: { rows, ...unknown }, ...(dev ? { dev } : {}) },
    warnings: [],
  };
  await writeFile(join(folder, 'dataset.json'), JSON.stringify(written));
  await writeFile(`${done}.new`, JSON.stringify(counts));
  await rename(`${done}.new`, done);
  return { folder, ...counts };
}

async function writeTexts(
  path: string,
  data: string | undefined,
  unlabelled: string | undefined,
  augment: number,
  { seed, signal }: Pick<StageContext, 'seed' | 'signal'>,
): Promise<Counts> {
  const counts = { training: 0, unlabelled: 0, augmented: 0 };
  const file = createWriteStream(path, { highWaterMark: 2 ** 20 });
  const write = async (example: Example): Promise<void> => {
    throwIfAborted(signal);
    if (!file.write(`${JSON.stringify(example)}\n`)) await once(file, 'drain');
  };
  try {
    if (data !== undefined) {
      const variants = new Variants(seed);
      for await (const example of readSplit(data, 'train')) {
        await write(example);
        counts.training++;
        for (const text of variants.of(example, augment)) {
          await write(text);
          counts.augmented++;
        }
      }
    }
    if (unlabelled !== undefined) {
      for await (const { text } of readSplit(unlabelled, 'train')) {
        await write({ text });
        counts.unlabelled++;
      }
    }
  } finally {
    file.end();
    await finished(file);
  }
  return counts;
}

/** Unlabelled variants of training texts, after Tang et al. 2019 (arXiv:1903.12136): they say what the teacher knows nearby. */
export class Variants {
  private readonly random: Random;
  private readonly recent: string[][] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** `count` variants: alternately a text that lost words, and its beginning joined with another text's end. */
  of({ text, pair }: Example, count: number): Example[] {
    if (count === 0) return [];
    const words = text.split(/\s+/).filter(Boolean);
    const variants = Array.from({ length: count }, (_, i) => (i % 2 === 0 ? this.drop(words) : this.splice(words)));
    this.recent[this.recent.length < NEIGHBOURS ? this.recent.length : this.random.integer(NEIGHBOURS)] = words;
    return variants.map((all) => ({ text: all.join(' '), ...(pair === undefined ? {} : { pair }) }));
  }

  private drop(words: string[]): string[] {
    const kept = words.filter(() => this.random.uniform() >= DROP);
    return kept.length > 0 ? kept : words;
  }

  private splice(words: string[]): string[] {
    if (this.recent.length === 0 || words.length === 0) return this.drop(words);
    const other = this.recent[this.random.integer(this.recent.length)];
    return [...words.slice(0, this.cut(words)), ...other.slice(this.cut(other))];
  }

  private cut({ length }: string[]): number {
    return this.random.integer(length + 1);
  }
}
