import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Random } from '../train/random';
import type { Example, Split } from './dataset';
import { readDatasetInfo, readSplit, splitFile } from './read';

export interface CopyOptions {
  /** Rows at most, drawn at random; default: all. */
  readonly rows?: number;
  readonly seed: number;
  /** What becomes of a row; `row` is its number in the original split. */
  readonly change?: (example: Example, row: number) => Example;
}

/**
 * Writes one split, or a part of it, as a data set folder of its own; rows keep their order.
 * @returns numbers that the rows have in the original split
 * @throws `dataset.no-split`
 */
export async function copySplit(
  dataset: string,
  split: Split,
  folder: string,
  { rows = Infinity, seed, change = (example) => example }: CopyOptions,
): Promise<Uint32Array> {
  const info = await readDatasetInfo(dataset);
  const examples: Example[] = [];
  for await (const example of readSplit(dataset, split)) examples.push(example);
  const taken = new Random(seed).permutation(examples.length).subarray(0, Math.min(rows, examples.length)).sort();
  const lines = Array.from(taken, (row) => `${JSON.stringify(change(examples[row], row))}\n`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, splitFile(split)), lines.join(''));
  const statistics = { ...info.splits[split], rows: taken.length };
  await writeFile(join(folder, 'dataset.json'), JSON.stringify({ ...info, splits: { [split]: statistics } }));
  return taken;
}
