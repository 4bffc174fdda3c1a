/**
 * @file The source's comparison (Ye et al. 2022, tables 2 to 4) on one data set and one fine-tuned teacher: kinds of
 * students from labels alone, distilled, and distilled with fine-tuning; accuracy on the test split, and texts a second
 * with tokenization at batch 1 and 32 on one thread. The choices of the distill stage use the dev split, or, without
 * one, a tenth of the training split.
 *
 *   node --require ./tools/register-typescript.cjs bench/distill-students.ts --teacher DIR --data ../shared/data/trec \
 *     --keep DIR [--texts 20] [--epochs 6] [--seed 0] [--only dan,textcnn] [--threads 2]
 *
 * Models are kept in --keep and not trained again, so a second run on a quiet machine only measures speed.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadModel } from '../packages/core/src/bench/loaded-model';
import { readManifest } from '../packages/core/src/bundle';
import { predict, scoreClassification } from '../packages/core/src/evaluate';
import { ortRuntime } from '../packages/core/src/runtime';
import { STAGES } from '../packages/core/src/stages';
import { loadTokenizer, readSplit } from '../packages/core/src/text';
import { importDataset } from '../packages/core/src/text/import';

const { values: args } = parseArgs({
  options: {
    teacher: { type: 'string' },
    data: { type: 'string' },
    keep: { type: 'string' },
    texts: { type: 'string', default: '20' },
    epochs: { type: 'string', default: '6' },
    seed: { type: 'string', default: '0' },
    only: { type: 'string' },
    threads: { type: 'string', default: '2' },
  },
});

const STUDENTS: Readonly<Record<string, object>> = {
  dan: { type: 'dan' },
  textcnn: { type: 'textcnn' },
  bilstm: { type: 'bilstm' },
  transformer: { type: 'transformer', layers: 2, hidden: 128, heads: 2 },
  'dan-1gram': { type: 'dan', maxOrder: 1 },
  'dan-2gram': { type: 'dan', maxOrder: 2 },
  'dan-random-start': { type: 'dan', start: 'random' },
  'dan-20k': { type: 'dan', ngrams: 20_000 },
  'dan-64': { type: 'dan', dimension: 64 },
  'dan-max': { type: 'dan', pooling: 'max' },
  'dan-sum': { type: 'dan', pooling: 'sum' },
  'dan-3-percent': { type: 'dan', keepNgrams: 0.03 },
};
const COMPARED = ['dan', 'textcnn', 'bilstm', 'transformer'];

/** From labels alone, distilled, and whichever is better of distilled and then fine-tuned. */
const SETTINGS = {
  scratch: { weight: 0, epochs: 20, fineTune: { epochs: 0 } },
  distilled: { epochs: Number(args.epochs), augment: { texts: Number(args.texts) }, fineTune: { epochs: 0 } },
  tuned: { epochs: Number(args.epochs), augment: { texts: Number(args.texts) }, fineTune: { epochs: 3 } },
};
type Setting = keyof typeof SETTINGS;

async function student(name: string, setting: Setting, teacher: string, data: string, keep: string): Promise<string> {
  const folder = join(keep, `${name}-${setting}`);
  const [output, checkpoints] = [join(folder, 'output'), join(folder, 'checkpoints')];
  const model = join(output, 'model');
  if (existsSync(join(model, 'manifest.json'))) return model;
  for (const each of [output, checkpoints]) mkdirSync(each, { recursive: true });
  // From labels alone, a DAN has no teacher to start its rows from either.
  const start = setting === 'scratch' && name.startsWith('dan') ? { start: 'random' } : {};
  const config = {
    student: { ...STUDENTS[name], ...start },
    batchSize: 64,
    maxLength: 64,
    precision: 'bf16',
    ...SETTINGS[setting],
  };
  await STAGES.distill.run(STAGES.distill.schema.parse(config), {
    model: teacher,
    baseline: teacher,
    datasets: { data },
    output,
    checkpoints,
    cache: join(keep, 'cache'),
    seed: Number(args.seed),
    threads: Number(args.threads),
    signal: new AbortController().signal,
    progress: () => undefined,
    log: (level, message) => console.error(`${basename(folder)}: ${level}: ${message}`),
    metric: () => undefined,
  });
  return model;
}

async function accuracy(model: string, data: string): Promise<number> {
  const compile = { threads: Number(args.threads) };
  const { logits, outputs, labels } = await predict(model, data, 'test', { runtime: ortRuntime, compile });
  return 100 * scoreClassification({ logits, classes: outputs, labels }).scores.accuracy;
}

/** Texts a second from text to logits on one thread, the best of five passes. */
async function speed(folder: string, data: string, batch: number): Promise<number> {
  const manifest = await readManifest(folder);
  const texts: [string][] = [];
  for await (const { text } of readSplit(data, 'test')) texts.push([text]);
  const batches = Array.from({ length: Math.floor(Math.min(512, texts.length) / batch) }, (_, i) =>
    texts.slice(i * batch, (i + 1) * batch),
  );
  const tokenizer = manifest.architecture === 'dan' ? undefined : await loadTokenizer(folder);
  const vocabulary = tokenizer?.vocabularySize ?? 1;
  const model = await loadModel({
    folder,
    manifest,
    tokenizer,
    vocabulary,
    threads: 1,
    serving: { runtime: 'ort', precision: 'fp32' },
  });
  const pass = model.texts(batches);
  let best = 0;
  for (let round = 0; round < 6; round++) {
    const started = performance.now();
    for (let i = 0; i < batches.length; i++) await pass();
    const found = (1000 * batch * batches.length) / (performance.now() - started);
    if (round > 0) best = Math.max(best, found);
  }
  await model.release();
  return Math.round(best);
}

async function main(): Promise<void> {
  const { teacher, data: source, keep } = args;
  if (!teacher || !source || !keep) throw new Error('Give --teacher, --data and --keep.');
  const data = join(keep, 'data');
  if (!existsSync(join(data, 'dataset.json'))) {
    await importDataset({ name: basename(source), source, splits: { dev: 0.1 } }, data).catch(() =>
      importDataset({ name: basename(source), source }, data),
    );
  }
  const speeds = async (model: string): Promise<string> =>
    `${await speed(model, data, 1)} | ${await speed(model, data, 32)}`;
  console.log('| | from scratch | KD | the better of KD and KD + FT | parameters | texts/s, batch 1 | batch 32 |');
  console.log('|---|---|---|---|---|---|---|');
  const whole = (await accuracy(teacher, data)).toFixed(1);
  console.log(
    `| teacher | | | ${whole} | ${(await readManifest(teacher)).parameters.total} | ${await speeds(teacher)} |`,
  );
  for (const name of args.only?.split(',') ?? COMPARED) {
    const scores: string[] = [];
    let model = '';
    for (const setting of ['scratch', 'distilled', 'tuned'] as const) {
      model = await student(name, setting, teacher, data, keep);
      scores.push((await accuracy(model, data)).toFixed(1));
    }
    const { parameters } = await readManifest(model);
    console.log(`| ${name} | ${scores.join(' | ')} | ${parameters.total} | ${await speeds(model)} |`);
  }
}

void main();
