import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { invalid, ModelpressError } from '../errors';
import { datasetInfoSchema } from './dataset';
import type { DatasetInfo, Example, Split } from './dataset';
import { readLines } from './lines';

/** File of a split inside a data set folder. */
export const splitFile = (split: Split): string => `${split}.jsonl`;

const exampleSchema = z.strictObject({
  text: z.string(),
  pair: z.string().exactOptional(),
  label: z.union([z.string(), z.number()]).exactOptional(),
  target: z.string().exactOptional(),
}) satisfies z.ZodType<Example>;

/** Reads and checks dataset.json of a data set folder. @throws ModelpressError `dataset.missing`, `dataset.corrupt`. */
export async function readDatasetInfo(folder: string): Promise<DatasetInfo> {
  const path = join(folder, 'dataset.json');
  if (!existsSync(path)) {
    throw invalid('dataset.missing', 'The folder holds no imported data set: dataset.json is absent.', {
      file: 'dataset.json',
    });
  }
  const text = await readFile(path, 'utf8');
  try {
    return datasetInfoSchema.parse(JSON.parse(text));
  } catch (cause) {
    const details = { file: 'dataset.json' };
    throw new ModelpressError('invalid', 'dataset.corrupt', 'dataset.json is damaged.', details, { cause });
  }
}

/**
 * Streams the examples of a split, in order.
 * @throws ModelpressError `dataset.no-split` when the data set has no such split, `dataset.corrupt` with the line.
 */
export async function* readSplit(folder: string, split: Split): AsyncGenerator<Example> {
  const file = splitFile(split);
  const path = join(folder, file);
  if (!existsSync(path)) {
    throw invalid('dataset.no-split', `The data set has no ${split} split.`, { file, split });
  }
  let line = 0;
  for await (const lines of readLines(path)) {
    for (const text of lines) yield parseExample(text, file, ++line);
  }
}

function parseExample(text: string, file: string, line: number): Example {
  try {
    return exampleSchema.parse(JSON.parse(text));
  } catch (cause) {
    const details = { file, line };
    throw new ModelpressError('invalid', 'dataset.corrupt', `Line ${line} of ${file} is no example.`, details, {
      cause,
    });
  }
}
