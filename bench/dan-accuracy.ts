/**
 * @file What a DAN keeps of its teacher's accuracy: a pretrained encoder is fine-tuned on TREC, SST-2, AG News, SNIPS and
 * CLINC150 and teaches a DAN; beside it the same DAN from labels alone. Choices are made on dev splits, figures are of
 * the test splits. SST-2 also has unlabelled texts: sentences of IMDB reviews.
 *
 *   node --require ./tools/register-typescript.cjs bench/dan-accuracy.ts --model DIR --data ../shared/data --keep DIR \
 *     [--only trec,snips] [--texts 20] [--most 100000] [--epochs 6] [--seeds 0,1] [--student '{"dimension":512}'] [--threads 2]
 *
 * Data, teachers and students are kept in --keep and not made again.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeBundle } from '../packages/core/src/bundle';
import { predict, scoreClassification } from '../packages/core/src/evaluate';
import { finetuneSchema } from '../packages/core/src/finetune/config';
import { finetune } from '../packages/core/src/finetune/finetune';
import { importHuggingFace } from '../packages/core/src/models';
import { ortRuntime } from '../packages/core/src/runtime';
import { STAGES } from '../packages/core/src/stages';
import { readDatasetInfo } from '../packages/core/src/text';
import { importDataset } from '../packages/core/src/text/import';
import type { ImportOptions } from '../packages/core/src/text/import';
import { Random } from '../packages/core/src/train/random';

const { values: args } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string', default: '../shared/data' },
    keep: { type: 'string' },
    only: { type: 'string', default: 'trec,sst2,ag_news,snips,clinc150' },
    texts: { type: 'string', default: '20' },
    most: { type: 'string', default: '100000' },
    epochs: { type: 'string', default: '6' },
    seeds: { type: 'string', default: '0' },
    student: { type: 'string', default: '{}' },
    threads: { type: 'string', default: '2' },
  },
});
const threads = Number(args.threads);
const seeds = args.seeds.split(',').map(Number);

interface DataSet {
  readonly import: Omit<ImportOptions, 'name'>;
  readonly teacher: { readonly epochs: number; readonly learningRate: number };
  readonly unlabelled?: () => string[];
}

const SETS: Readonly<Record<string, DataSet>> = {
  trec: {
    import: { source: join(args.data, 'trec'), splits: { dev: 0.1 } },
    teacher: { epochs: 5, learningRate: 1e-4 },
  },
  sst2: {
    import: { source: join(args.data, 'sst2') },
    teacher: { epochs: 1, learningRate: 5e-5 },
    unlabelled: () => sentences(join(args.data, 'unlabeled_imdb_unsup/imdb_unsup.txt'), Number(args.most)),
  },
  // There is no train file: dev is what is learned from.
  ag_news: {
    import: {
      source: [
        { name: 'train.tsv', path: join(args.data, 'ag_news/dev.tsv') },
        { name: 'test.tsv', path: join(args.data, 'ag_news/test.tsv') },
      ],
      splits: { dev: 0.1 },
    },
    teacher: { epochs: 2, learningRate: 1e-4 },
  },
  snips: { import: { source: join(args.data, 'snips') }, teacher: { epochs: 2, learningRate: 1e-4 } },
  clinc150: { import: { source: join(args.data, 'clinc150') }, teacher: { epochs: 4, learningRate: 2e-4 } },
};

/** Made-up texts for each training text, and in all. */
const augment = { texts: Number(args.texts), most: Number(args.most) };

/** From labels alone, distilled, and the better of distilled and then fine-tuned on dev. */
const SETTINGS = {
  scratch: { weight: 0, epochs: 20, fineTune: { epochs: 0 }, augment: { texts: 0 } },
  distilled: { epochs: Number(args.epochs), augment, fineTune: { epochs: 0 } },
  tuned: { epochs: Number(args.epochs), augment, fineTune: { epochs: 3 } },
};
type Setting = keyof typeof SETTINGS;

/** Different sentences of 4 to 40 words, in an order of chance. */
function sentences(file: string, most: number): string[] {
  const text = readFileSync(file, 'utf8').replaceAll('<br />', '\n');
  const all = text.split(/(?<=[.!?])\s+|\n+/).filter((sentence) => {
    const { length } = sentence.split(/\s+/);
    return length >= 4 && length <= 40;
  });
  const distinct = [...new Set(all)];
  return Array.from(new Random(0).permutation(distinct.length).subarray(0, most), (i) => distinct[i]);
}

const quiet = { signal: new AbortController().signal, progress: () => undefined, metric: () => undefined };

async function prepare(set: string, { import: source, teacher, unlabelled }: DataSet, folder: string): Promise<void> {
  const data = join(folder, 'data');
  if (!existsSync(join(data, 'dataset.json'))) await importDataset({ name: set, ...source }, data);
  if (unlabelled && !existsSync(join(folder, 'unlabelled/dataset.json'))) {
    const file = join(folder, 'unlabelled.txt');
    writeFileSync(file, unlabelled().join('\n'));
    await importDataset({ name: `${set} unlabelled`, source: file, format: 'lines' }, join(folder, 'unlabelled'));
  }
  if (existsSync(join(folder, 'teacher/manifest.json'))) return;
  const { labels } = await readDatasetInfo(data);
  const start = join(folder, 'start');
  await writeBundle(start, (await importHuggingFace(args.model!, { task: 'classification', labels })).bundle);
  const { epochs, learningRate } = teacher;
  const config = finetuneSchema.parse({ epochs, precision: 'bf16', maxLength: 64, optimizer: { learningRate } });
  const checkpoints = join(folder, 'checkpoints');
  const log = (level: string, message: string): void => console.error(`${set} teacher: ${level}: ${message}`);
  const { bundle } = await finetune(config, {
    model: start,
    dataset: data,
    checkpoints,
    seed: 0,
    threads,
    log,
    ...quiet,
  });
  await writeBundle(join(folder, 'teacher'), bundle);
}

async function student(folder: string, setting: Setting, seed: number): Promise<string> {
  const home = join(folder, `${setting}-${seed}`);
  const [output, checkpoints] = [join(home, 'output'), join(home, 'checkpoints')];
  const model = join(output, 'model');
  if (existsSync(join(model, 'manifest.json'))) return model;
  for (const each of [output, checkpoints]) mkdirSync(each, { recursive: true });
  // From labels alone, there is no teacher to start rows from either.
  const start = setting === 'scratch' ? { start: 'random' } : {};
  const own = { type: 'dan', ...start, ...(JSON.parse(args.student) as object) };
  const config = {
    student: own,
    batchSize: 64,
    maxLength: 64,
    precision: 'bf16',
    ...SETTINGS[setting],
  };
  const teacher = join(folder, 'teacher');
  const unlabelled = join(folder, 'unlabelled');
  const isGiven = setting !== 'scratch' && existsSync(unlabelled);
  await STAGES.distill.run(STAGES.distill.schema.parse(config), {
    model: teacher,
    baseline: teacher,
    datasets: { data: join(folder, 'data'), ...(isGiven && { unlabelled }) },
    output,
    checkpoints,
    cache: join(folder, 'cache'),
    seed,
    threads,
    log: (level, message) => console.error(`${home}: ${level}: ${message}`),
    ...quiet,
  });
  rmSync(checkpoints, { recursive: true }); // as large as the table three times
  return model;
}

async function accuracy(model: string, data: string): Promise<number> {
  const { logits, outputs, labels } = await predict(model, data, 'test', { runtime: ortRuntime, compile: { threads } });
  return 100 * scoreClassification({ logits, classes: outputs, labels }).scores.accuracy;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

async function main(): Promise<void> {
  const { model, keep } = args;
  if (!model || !keep) throw new Error('Give --model and --keep.');
  console.log(`| | teacher | from scratch | KD | the better of KD and KD + FT | kept | of the gap |`);
  console.log('|---|---|---|---|---|---|---|');
  const rows: number[][] = [];
  const print = (name: string, row: readonly number[]): void =>
    console.log(`| ${name} | ${row.map((value, i) => `${value.toFixed(1)}${i > 3 ? ' %' : ''}`).join(' | ')} |`);
  for (const set of args.only.split(',')) {
    const folder = join(keep, set);
    mkdirSync(folder, { recursive: true });
    await prepare(set, SETS[set], folder);
    const data = join(folder, 'data');
    const scoreOf = async (setting: Setting): Promise<number> => {
      const scores: number[] = [];
      for (const seed of seeds) scores.push(await accuracy(await student(folder, setting, seed), data));
      return mean(scores);
    };
    const teacher = await accuracy(join(folder, 'teacher'), data);
    const [scratch, distilled, tuned] = [await scoreOf('scratch'), await scoreOf('distilled'), await scoreOf('tuned')];
    const row = [teacher, scratch, distilled, tuned, (100 * tuned) / teacher];
    rows.push(row);
    print(set, [...row, (100 * (tuned - scratch)) / (teacher - scratch)]);
  }
  const [teacher, scratch, distilled, tuned, kept] = rows[0].map((_, i) => mean(rows.map((row) => row[i])));
  print('mean', [teacher, scratch, distilled, tuned, kept, (100 * (tuned - scratch)) / (teacher - scratch)]);
}

void main();
