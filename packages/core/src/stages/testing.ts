/** @file Helpers of the tests in this folder: a tiny bundle, a data set folder, a stage's context. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBundle } from '../bundle/bundle';
import { createTransformer, transformerConfig } from '../models';
import { datasetInfoSchema } from '../text';
import type { DatasetKind, Example, Split } from '../text';
import type { Progress, StageContext } from './stage';

const WORDS = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  'good',
  'bad',
  'very',
  'film',
  'book',
  'the',
  'a',
  'is',
  '##s',
  'not',
];

export const temporaryFolder = (): string => mkdtempSync(join(tmpdir(), 'modelpress-stage-'));

/** A BERT classifier with fresh weights (L2 H32, two labels, at most 32 tokens) and a WordPiece vocabulary of 14. */
export async function tinyBundle(seed = 1): Promise<string> {
  const folder = join(temporaryFolder(), 'bundle');
  const config = transformerConfig('bert', {
    layers: 2,
    hidden: 32,
    heads: 2,
    vocabulary: WORDS.length + 50,
    maxLength: 32,
  });
  // Larger weights than fresh ones have, so that the logits of different texts differ.
  const bundle = createTransformer(
    { ...config, initializerRange: 0.3 },
    {
      task: 'classification',
      labels: ['negative', 'positive'],
      seed,
      name: 'tiny',
      tokenizer: { kind: 'wordpiece', padId: 0 },
      tokenizerFiles: new Map([['vocab.txt', Buffer.from(`${WORDS.join('\n')}\n`)]]),
    },
  );
  await writeBundle(folder, bundle);
  return folder;
}

/** Texts of words that the tiny bundle knows. */
export const tinyExamples = (count: number): Example[] =>
  Array.from({ length: count }, (_, i) => ({
    text: Array.from({ length: 2 + (i % 9) }, (_, k) => WORDS[4 + ((i * 7 + k * 5 + ((i * k) % 3)) % 8)]).join(' '),
    label: i % 3 === 0 ? 'negative' : 'positive',
  }));

/** Writes an imported data set. */
export function datasetFolder(
  splits: Partial<Record<Split, readonly Example[]>>,
  kind: DatasetKind = 'classification',
): string {
  const folder = join(temporaryFolder(), 'data');
  mkdirSync(folder);
  const statistics = Object.entries(splits).map(([split, examples]) => {
    writeFileSync(join(folder, `${split}.jsonl`), examples.map((example) => `${JSON.stringify(example)}\n`).join(''));
    return [split, { rows: examples.length, characters: { p50: 10, p95: 20, max: 30 }, emptyTexts: 0, duplicates: 0 }];
  });
  const info = datasetInfoSchema.parse({
    format: 1,
    name: 'tiny',
    kind,
    labels: kind === 'classification' ? ['negative', 'positive'] : [],
    splits: Object.fromEntries(statistics),
    warnings: [],
  });
  writeFileSync(join(folder, 'dataset.json'), JSON.stringify(info));
  return folder;
}

/** A context that records progress and log lines. */
export function testContext(
  given: Partial<StageContext> = {},
): StageContext & { readonly reported: Progress[]; readonly lines: string[] } {
  const folder = temporaryFolder();
  const reported: Progress[] = [];
  const lines: string[] = [];
  for (const name of ['output', 'checkpoints']) mkdirSync(join(folder, name));
  return {
    model: undefined,
    baseline: undefined,
    datasets: {},
    output: join(folder, 'output'),
    checkpoints: join(folder, 'checkpoints'),
    seed: 1,
    threads: 1,
    signal: new AbortController().signal,
    progress: (progress) => void reported.push(progress),
    log: (level, message) => void lines.push(`${level}: ${message}`),
    metric: () => undefined,
    ...given,
    reported,
    lines,
  };
}
