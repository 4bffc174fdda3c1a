/**
 * @file Fine-tunes a classifier and scores it on the test split; with --pytorch the same recipe in PyTorch afterwards, on
 * the same data and threads, so that accuracy and time can be compared.
 *
 *   node --require ./tools/register-typescript.cjs bench/finetune.ts --data ../shared/data/trec --checkpoint DIR \
 *     --epochs 3 --lr 5e-5 [--max-length 32] [--seed 0] [--precision bf16] [--pytorch PYTHON]
 *   ... --data ../shared/data/snips --vocabulary vocab.txt --layers 4 --hidden 256 --epochs 4 --lr 5e-4
 *   ... --train-rows 16000 --pytorch PYTHON
 *   ... --rows 2048 --rounds 2 --pytorch PYTHON
 *
 * --train-rows learns from the first rows of train only. With --rows only speed is compared: one epoch over the first rows of
 * train, both in turns, the better round of each.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readTokenizerFiles, writeBundle } from '../packages/core/src/bundle';
import { predict, scoreClassification } from '../packages/core/src/evaluate';
import { finetuneSchema } from '../packages/core/src/finetune/config';
import { finetune } from '../packages/core/src/finetune/finetune';
import { createTransformer, importHuggingFace, transformerConfig } from '../packages/core/src/models';
import { ortRuntime } from '../packages/core/src/runtime';
import { loadTokenizer } from '../packages/core/src/text';
import { importDataset } from '../packages/core/src/text/import';

const { values: args } = parseArgs({
  options: {
    data: { type: 'string' },
    splits: { type: 'string' },
    checkpoint: { type: 'string' },
    vocabulary: { type: 'string' },
    layers: { type: 'string', default: '4' },
    hidden: { type: 'string', default: '256' },
    epochs: { type: 'string', default: '3' },
    lr: { type: 'string', default: '5e-5' },
    'max-length': { type: 'string', default: '32' },
    batch: { type: 'string', default: '32' },
    seed: { type: 'string', default: '0' },
    threads: { type: 'string', default: '2' },
    method: { type: 'string', default: 'full' },
    precision: { type: 'string', default: 'fp32' },
    pytorch: { type: 'string' },
    'train-rows': { type: 'string' },
    rows: { type: 'string' },
    rounds: { type: 'string', default: '2' },
  },
});

interface Outcome {
  readonly accuracy: number;
  readonly macroF1: number;
  readonly epochSeconds: number;
}

async function main(): Promise<void> {
  if (!args.data || !(args.checkpoint || args.vocabulary))
    throw new Error('Give --data and --checkpoint or --vocabulary.');
  const scratch = mkdtempSync(join(tmpdir(), 'modelpress-finetune-'));
  try {
    const dataset = join(scratch, 'data');
    const info = await importDataset({ name: basename(args.data), source: args.splits ?? args.data }, dataset);
    const model = join(scratch, 'start');
    const head = { task: 'classification', labels: info.labels } as const;
    if (args.checkpoint) await writeBundle(model, (await importHuggingFace(args.checkpoint, head)).bundle);
    else await fromScratch(args.vocabulary!, model, info.labels);
    if (args['train-rows']) keepRows(dataset, ['train'], Number(args['train-rows']));
    if (args.rows) return await compareSpeed(scratch, model, dataset);
    const ours = await trainOurs(scratch, model, dataset);
    print('modelpress', ours);
    if (args.pytorch) {
      const theirs = trainPyTorch(args.pytorch, dataset);
      print('PyTorch', theirs);
      console.log(
        `speed ${(theirs.epochSeconds / ours.epochSeconds).toFixed(2)}x, accuracy ${(100 * (ours.accuracy - theirs.accuracy)).toFixed(1)} points`,
      );
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function compareSpeed(scratch: string, model: string, dataset: string): Promise<void> {
  if (!args.pytorch) throw new Error('--rows compares speed: give --pytorch.');
  args.epochs = '1';
  keepRows(dataset, ['train', 'test'], Number(args.rows)); // test is not looked at
  const seconds: [ours: number, theirs: number][] = [];
  for (let round = 0; round < Number(args.rounds); round++) {
    const ours = await trainOurs(join(scratch, String(round)), model, dataset);
    seconds.push([ours.epochSeconds, trainPyTorch(args.pytorch, dataset).epochSeconds]);
  }
  const [ours, theirs] = [Math.min(...seconds.map(([s]) => s)), Math.min(...seconds.map(([, s]) => s))];
  console.log(
    `${args.rows} texts: modelpress ${ours.toFixed(1)} s, PyTorch ${theirs.toFixed(1)} s, ${(theirs / ours).toFixed(2)}x ` +
      `(rounds ${seconds.map((pair) => pair.map((s) => s.toFixed(1)).join(' / ')).join(', ')})`,
  );
}

/** Shortens splits to their first rows. */
function keepRows(dataset: string, splits: readonly string[], rows: number): void {
  for (const split of splits) {
    const file = join(dataset, `${split}.jsonl`);
    writeFileSync(file, readFileSync(file, 'utf8').trimEnd().split('\n').slice(0, rows).join('\n') + '\n');
  }
}

async function fromScratch(vocabulary: string, dir: string, labels: readonly string[]): Promise<void> {
  mkdirSync(dir);
  copyFileSync(vocabulary, join(dir, 'vocab.txt'));
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ do_lower_case: true }));
  const tokenizer = await loadTokenizer(dir);
  const [layers, hidden] = [Number(args.layers), Number(args.hidden)];
  const config = transformerConfig('bert', {
    layers,
    hidden,
    heads: hidden / 64,
    vocabulary: tokenizer.vocabularySize,
    maxLength: 512,
  });
  const bundle = createTransformer(config, {
    task: 'classification',
    labels,
    seed: Number(args.seed),
    name: `bert-L${layers}-H${hidden}`,
    tokenizer: { kind: tokenizer.kind, padId: tokenizer.padId },
    tokenizerFiles: await readTokenizerFiles(dir),
  });
  await writeBundle(dir, bundle);
}

async function trainOurs(scratch: string, model: string, dataset: string): Promise<Outcome> {
  const epochs = Number(args.epochs);
  const config = finetuneSchema.parse({
    epochs,
    batchSize: Number(args.batch),
    maxLength: Number(args['max-length']),
    optimizer: { learningRate: Number(args.lr) },
    method: { type: args.method },
    precision: args.precision,
    keepBest: false,
    evaluateEverySteps: 1_000_000, // once, at the end: PyTorch's loop does not evaluate either
  });
  const result = await finetune(config, {
    model,
    dataset,
    checkpoints: join(scratch, 'checkpoints'),
    seed: Number(args.seed),
    threads: Number(args.threads),
    signal: new AbortController().signal,
    progress: () => undefined,
    log: (level, message) => console.error(`${level}: ${message}`),
    metric: () => undefined,
  });
  const trained = join(scratch, 'trained');
  await writeBundle(trained, result.bundle);
  const { logits, labels } = await predict(trained, dataset, 'test', {
    runtime: ortRuntime,
    compile: { threads: Number(args.threads) },
  });
  const { scores } = scoreClassification({ logits, classes: result.bundle.labels.length, labels });
  console.error(
    `peak memory ${(process.resourceUsage().maxRSS / 2 ** 20).toFixed(2)} GiB, ${result.trainableParameters} trained parameters`,
  );
  return { accuracy: scores.accuracy, macroF1: scores.macroF1, epochSeconds: result.seconds / epochs };
}

function trainPyTorch(python: string, dataset: string): Outcome {
  const start = args.checkpoint
    ? ['--checkpoint', resolve(args.checkpoint)]
    : ['--vocabulary', resolve(args.vocabulary!), '--layers', args.layers, '--hidden', args.hidden];
  const shared = ['epochs', 'lr', 'batch', 'max-length', 'seed', 'threads'] as const;
  const options = shared.flatMap((name) => [`--${name}`, args[name]]);
  const script = join(__dirname, 'finetune_pytorch.py');
  const output = execFileSync(python, [script, '--data', dataset, ...start, ...options], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const result = JSON.parse(output.trim().split('\n').at(-1)!) as {
    accuracy: number;
    macroF1: number;
    epochSeconds: number[];
  };
  return { ...result, epochSeconds: result.epochSeconds.reduce((sum, s) => sum + s, 0) / result.epochSeconds.length };
}

function print(name: string, { accuracy, macroF1, epochSeconds }: Outcome): void {
  const percent = (value: number): string => (100 * value).toFixed(1);
  console.log(
    `${name}: accuracy ${percent(accuracy)}, macro-F1 ${percent(macroF1)}, ${epochSeconds.toFixed(1)} s an epoch`,
  );
}

void main();
