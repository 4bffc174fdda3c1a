/**
 * @file Prunes one fine-tuned bundle in several ways and prints accuracy, size and latency beside the dense model.
 *
 *   node --require ./tools/register-typescript.cjs bench/prune.ts --checkpoint DIR --data ../shared/data/trec \
 *     --keep DIR [--seed 0] [--epochs 4] [--only neurons-60,neurons-80] [--threads 2] [--precision bf16]
 *
 * Models are kept in --keep and not trained again, so a second run on a quiet machine only measures latency.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchmark, Subject } from '../packages/core/src/bench';
import { countFlops } from '../packages/core/src/bench/flops';
import { bundleBytes, readManifest, writeBundle } from '../packages/core/src/bundle';
import { predict, scoreClassification } from '../packages/core/src/evaluate';
import { importHuggingFace } from '../packages/core/src/models';
import { ortRuntime } from '../packages/core/src/runtime';
import { STAGES } from '../packages/core/src/stages';
import { readDatasetInfo } from '../packages/core/src/text';
import { importDataset } from '../packages/core/src/text/import';

const { values: args } = parseArgs({
  options: {
    checkpoint: { type: 'string' },
    data: { type: 'string' },
    keep: { type: 'string' },
    seed: { type: 'string', default: '0' },
    epochs: { type: 'string', default: '4' },
    only: { type: 'string' },
    threads: { type: 'string', default: '2' },
    precision: { type: 'string', default: 'fp32' },
  },
});
const threads = Number(args.threads);
const epochs = Number(args.epochs);

/** One row of the table: settings of the prune stage. */
const structured = (target: number, more: object = {}): object => ({
  target,
  epochs,
  pruningEpochs: epochs / 4,
  stepsPerEpoch: 4,
  maxLength: 32,
  optimizer: { learningRate: 1e-4 },
  ...more,
});
const weights = (importance: string, target: number): object => ({
  granularity: { type: 'weight' },
  importance,
  target,
  scope: 'matrix',
  shape: 'cubic',
  epochs,
  pruningEpochs: (3 * epochs) / 4,
  stepsPerEpoch: 10,
  maxLength: 32,
  optimizer: { learningRate: importance === 'pst' ? 1e-3 : 5e-5 },
});
const EXPERIMENTS: Readonly<Record<string, object>> = {
  'neurons-40': structured(0.4),
  'neurons-60': structured(0.6),
  'neurons-80': structured(0.8),
  'neurons-90': structured(0.9),
  'neurons-90-random': structured(0.9, { importance: 'random' }),
  'neurons-90-teacher': structured(0.9, { distill: {} }),
  'neurons-60-padded': structured(0.6, { heads: 'padded' }),
  'neurons-60-hidden-25': structured(0.6, { hidden: 0.25 }),
  'neurons-60-vocabulary': structured(0.6, { vocabulary: {} }),
  'small-90': structured(0.9, { hidden: 0.5, vocabulary: {}, distill: {} }),
  vocabulary: { target: 0, epochs: 0, pruningEpochs: 0, maxLength: 32, vocabulary: {} },
  'no-queries-keys': structured(0, { targets: { W_Q: 1, W_K: 1 } }),
  'no-ffn': structured(0, { targets: { W_I: 1 } }),
  'weights-magnitude-90': weights('magnitude', 0.9),
  'weights-movement-90': weights('movement', 0.9),
  'weights-pst-90': weights('pst', 0.9),
  'weights-l0-90': weights('l0', 0.9),
};

async function stage(
  type: 'finetune' | 'prune',
  model: string,
  data: string,
  folder: string,
  config: object,
): Promise<string> {
  const output = join(folder, 'output');
  const checkpoints = join(folder, 'checkpoints');
  const done = join(output, 'model');
  if (existsSync(join(done, 'manifest.json'))) return done;
  for (const dir of [output, checkpoints]) mkdirSync(dir, { recursive: true });
  await STAGES[type].run(STAGES[type].schema.parse({ ...config, precision: args.precision }), {
    model,
    baseline: undefined,
    datasets: { data },
    output,
    checkpoints,
    seed: Number(args.seed),
    threads,
    signal: new AbortController().signal,
    progress: () => undefined,
    log: (level, message) => console.error(`${basename(folder)}: ${level}: ${message}`),
    metric: () => undefined,
  });
  return done;
}

async function main(): Promise<void> {
  if (!args.checkpoint || !args.data || !args.keep) throw new Error('Give --checkpoint, --data and --keep.');
  const data = join(args.keep, 'data');
  if (!existsSync(join(data, 'dataset.json'))) {
    await importDataset({ name: basename(args.data), source: args.data, splits: { dev: 0.1 } }, data).catch(() =>
      importDataset({ name: basename(args.data!), source: args.data! }, data),
    );
  }
  const { labels } = await readDatasetInfo(data);
  const start = join(args.keep, 'start');
  if (!existsSync(join(start, 'manifest.json'))) {
    await writeBundle(start, (await importHuggingFace(args.checkpoint, { task: 'classification', labels })).bundle);
  }
  const dense = await stage('finetune', start, data, join(args.keep, 'dense'), {
    epochs: 3,
    maxLength: 32,
    optimizer: { learningRate: 5e-5 },
  });
  const names = args.only ? args.only.split(',') : Object.keys(EXPERIMENTS);
  await report('dense', dense, dense, data);
  for (const name of names) {
    const model = await stage('prune', dense, data, join(args.keep, name), EXPERIMENTS[name]);
    await report(name, model, dense, data);
  }
}

async function report(name: string, model: string, dense: string, data: string): Promise<void> {
  const { logits, outputs, labels } = await predict(model, data, 'test', { runtime: ortRuntime, compile: { threads } });
  const { scores } = scoreClassification({ logits, classes: outputs, labels });
  const { parameters } = await readManifest(model);
  const [candidate, baseline] = [await Subject.open(model), await Subject.open(dense)];
  const options = { threads: [threads], seed: 0, seconds: 3, warmup: 2, minRounds: 8, maxRounds: 200 };
  const signal = new AbortController().signal;
  const cells = await benchmark(candidate, baseline, { ...options, batches: [1, 8], sequences: [32, 128], signal });
  const shape = { batch: 8, sequence: 128 };
  const flops = (await countFlops(candidate, shape))! / (await countFlops(baseline, shape))!;
  const percent = (value: number): string => (100 * value).toFixed(1);
  const speed = cells
    .filter(({ batch, sequence }) => (batch === 1) === (sequence === 32))
    .map(({ batch, sequence, speedup }) => `${batch}x${sequence} ${speedup ? speedup.value.toFixed(2) : '-'}x`);
  const body = parameters.total - parameters.embeddings;
  const megabytes = ((await bundleBytes(model)).model / 1e6).toFixed(1);
  console.log(
    `${name}: accuracy ${percent(scores.accuracy)}, macro-F1 ${percent(scores.macroF1)}, ${(body / 1e6).toFixed(2)} M parameters ` +
      `without embeddings, ${megabytes} MB, FLOPs ${percent(flops)} %, faster ${speed.join(', ')}`,
  );
}

void main();
