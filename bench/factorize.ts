/**
 * @file Factorizes and shares the weights of one fine-tuned bundle in several ways and prints accuracy, size and latency
 * beside the dense model, as rows of a Markdown table.
 *
 *   node --require ./tools/register-typescript.cjs bench/factorize.ts --dense DIR --data DIR --keep DIR \
 *     [--seed 0] [--epochs 2] [--only rank-128-svd,codes-4] [--threads 2]
 *
 * --dense is a bundle, --data an imported data set that it was fine-tuned on (bench/prune.ts makes both: DIR/dense and
 * DIR/data). Models are kept in --keep and not made again, so a second run on a quiet machine only measures latency.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchmark, Subject } from '../packages/core/src/bench';
import { bundleBytes } from '../packages/core/src/bundle';
import { predict, scoreClassification } from '../packages/core/src/evaluate';
import { ortRuntime } from '../packages/core/src/runtime';
import { STAGES } from '../packages/core/src/stages';

const { values: args } = parseArgs({
  options: {
    dense: { type: 'string' },
    data: { type: 'string' },
    keep: { type: 'string' },
    seed: { type: 'string', default: '0' },
    epochs: { type: 'string', default: '2' },
    only: { type: 'string' },
    threads: { type: 'string', default: '2' },
  },
});
const threads = Number(args.threads);

interface Experiment {
  readonly type: 'factorize' | 'share';
  readonly config: object;
}

const METHODS = { svd: 'svd', aware: 'activation-aware' } as const;
const RECOVERY = { epochs: Number(args.epochs), optimizer: { learningRate: 1e-4 }, distill: {} };

/** With and without recovery training. */
function both(name: string, type: Experiment['type'], config: object): [string, Experiment][] {
  return [
    [name, { type, config: { maxLength: 32, ...config } }],
    [`${name}-recovered`, { type, config: { maxLength: 32, ...config, ...RECOVERY } }],
  ];
}

const ofMethods = (name: string, budget: object): [string, Experiment][] =>
  Object.entries(METHODS).flatMap(([short, method]) => both(`${name}-${short}`, 'factorize', { method, budget }));

const EXPERIMENTS: Readonly<Record<string, Experiment>> = Object.fromEntries([
  ...[128, 96, 64].flatMap((rank) => ofMethods(`rank-${rank}`, { type: 'rank', rank })),
  ...[0.5, 0.25].flatMap((share) => ofMethods(`budget-${100 * share}`, { type: 'parameters', share })),
  ...[8, 4, 3, 2].flatMap((bits) => both(`codes-${bits}`, 'share', { share: { type: 'codebooks', bits } })),
  ...both('pairs-ffn', 'share', { share: { type: 'layers', groups: 'pairs', components: ['W_I', 'W_O'] } }),
]);

/** Runs one stage on the dense bundle, or finds what an earlier run left. */
async function compress(name: string, dense: string, data: string, folder: string): Promise<string> {
  const output = join(folder, 'output');
  const checkpoints = join(folder, 'checkpoints');
  const done = join(output, 'model');
  if (existsSync(join(done, 'manifest.json'))) return done;
  for (const dir of [output, checkpoints]) mkdirSync(dir, { recursive: true });
  const { type, config } = EXPERIMENTS[name];
  const start = performance.now();
  await STAGES[type].run(STAGES[type].schema.parse(config), {
    model: dense,
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
  console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
  return done;
}

async function report(name: string, model: string, dense: string, data: string): Promise<void> {
  const { logits, outputs, labels } = await predict(model, data, 'test', { runtime: ortRuntime, compile: { threads } });
  const { scores } = scoreClassification({ logits, classes: outputs, labels });
  const [candidate, baseline] = [await Subject.open(model), await Subject.open(dense)];
  const options = { threads: [threads], seed: 0, seconds: 2, warmup: 2, minRounds: 8, maxRounds: 200 };
  const signal = new AbortController().signal;
  const cells = await benchmark(candidate, baseline, { ...options, batches: [1, 8], sequences: [32, 128], signal });
  const speed = (batch: number, sequence: number): string =>
    `${cells.find((cell) => cell.batch === batch && cell.sequence === sequence)?.speedup?.value.toFixed(2) ?? '-'}x`;
  const percent = (value: number): string => (100 * value).toFixed(1);
  const [bytes, before] = [(await bundleBytes(model)).model, (await bundleBytes(dense)).model];
  console.log(
    `| ${name} | ${percent(scores.accuracy)} | ${percent(scores.macroF1)} | ${(bytes / 1e6).toFixed(1)} MB | ${percent(bytes / before)} % | ${speed(1, 32)} | ${speed(8, 128)} |`,
  );
}

async function main(): Promise<void> {
  const { dense, data, keep } = args;
  if (!dense || !data || !keep) throw new Error('Give --dense, --data and --keep.');
  console.log('| model | accuracy | macro-F1 | model.onnx | of dense | 1x32 | 8x128 |');
  console.log('|---|---|---|---|---|---|---|');
  await report('dense', dense, dense, data);
  for (const name of args.only?.split(',') ?? Object.keys(EXPERIMENTS)) {
    if (!EXPERIMENTS[name])
      throw new Error(`There is no experiment "${name}"; there are ${Object.keys(EXPERIMENTS).join(', ')}.`);
    await report(name, await compress(name, dense, data, join(keep, name)), dense, data);
  }
}

void main();
