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
import { Variants } from './augment';
import type { DistillConfig } from './config';
import type { NearWords } from './near-words';

export interface TransferSet {
  /** A data set folder: its train split are the texts, its dev split is the data's (standard mode). */
  readonly folder: string;
  readonly training: number;
  readonly unlabelled: number;
  readonly augmented: number;
}

type Counts = Pick<TransferSet, 'training' | 'unlabelled' | 'augmented'>;

/**
 * Writes the transfer set into the checkpoints folder, where a further attempt finds it.
 * @param nearWords asked for where words are to be replaced
 * @throws invalid `distill.no-unlabelled` in private mode without unlabelled texts
 */
export async function writeTransferSet(
  { mode, augment }: Pick<DistillConfig, 'mode' | 'augment'>,
  labels: readonly string[],
  context: Pick<StageContext, 'datasets' | 'checkpoints' | 'seed' | 'signal'>,
  nearWords: () => Promise<NearWords>,
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
  const texts = Math.min(augment.texts, Math.floor(augment.most / (info?.splits.train?.rows ?? 1)));
  const replaces = own !== undefined && texts > 0 && augment.by.includes('replace');
  const variants = new Variants({ ...augment, texts }, context.seed, replaces ? await nearWords() : undefined);
  const counts = await writeTexts(join(folder, 'train.jsonl'), own, unlabelled, variants, context.signal);
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
  variants: Variants,
  signal: AbortSignal,
): Promise<Counts> {
  const counts = { training: 0, unlabelled: 0, augmented: 0 };
  const file = createWriteStream(path, { highWaterMark: 2 ** 20 });
  const write = async (example: Example): Promise<void> => {
    throwIfAborted(signal);
    if (!file.write(`${JSON.stringify(example)}\n`)) await once(file, 'drain');
  };
  try {
    if (data !== undefined) {
      for await (const example of readSplit(data, 'train')) {
        await write(example);
        counts.training++;
        for (const text of variants.of(example)) {
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
