/**
 * @file Pretrains models of several sizes for the same time on the same text and prints their held-out perplexity along
 * time, after Li et al. 2020 (arXiv:2002.11794), figure 1. The vocabulary is trained on the text and the same for all.
 *
 *   node --require ./tools/register-typescript.cjs bench/pretrain.ts --text ../shared/data/unlabeled_wiki_sents \
 *     --sizes 2x64,2x128,4x256 --seconds 60 [--architecture roberta] [--lr 1e-3] [--max-length 64] [--batch 32]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { pretrain, pretrainSchema } from '../packages/core/src/pretrain';
import { importDataset } from '../packages/core/src/text/import';
import type { CurvePoint } from '../packages/core/src/train';

const { values: args } = parseArgs({
  options: {
    text: { type: 'string' },
    sizes: { type: 'string', default: '2x128,4x256' },
    seconds: { type: 'string', default: '60' },
    architecture: { type: 'string', default: 'roberta' },
    vocabulary: { type: 'string', default: '8000' },
    'max-length': { type: 'string', default: '64' },
    batch: { type: 'string', default: '32' },
    lr: { type: 'string', default: '1e-3' },
    seed: { type: 'string', default: '0' },
    threads: { type: 'string', default: '2' },
  },
});

/** Moments at which curves are compared, as shares of the budget. */
const QUARTERS = [0.25, 0.5, 0.75, 1];

async function main(): Promise<void> {
  if (!args.text) throw new Error('Give --text.');
  const scratch = mkdtempSync(join(tmpdir(), 'modelpress-pretrain-'));
  try {
    const dataset = join(scratch, 'text');
    await importDataset({ name: basename(args.text), source: args.text }, dataset);
    console.log(
      '| size | parameters | steps | passes | TFLOPs | perplexity at 25 % | 50 % | 75 % | 100 % of the time |',
    );
    console.log('|---|---|---|---|---|---|---|---|---|');
    for (const size of args.sizes.split(',')) await trainSize(size, dataset, join(scratch, size));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function trainSize(size: string, dataset: string, folder: string): Promise<void> {
  const [layers, hidden] = size.split('x').map(Number);
  const config = pretrainSchema.parse({
    scratch: { architecture: args.architecture, layers, hidden, vocabulary: Number(args.vocabulary) },
    budget: { seconds: Number(args.seconds) },
    maxLength: Number(args['max-length']),
    batchSize: Number(args.batch),
    optimizer: { learningRate: Number(args.lr) },
  });
  const { bundle, training, epochs } = await pretrain(config, {
    model: undefined,
    dataset,
    checkpoints: folder,
    seed: Number(args.seed),
    threads: Number(args.threads),
    signal: new AbortController().signal,
    progress: () => undefined,
    log: () => undefined,
    metric: () => undefined,
  });
  const cells = [
    `L${layers} H${hidden}`,
    `${(bundle.manifest.parameters.total / 1e6).toFixed(1)} M`,
    training.steps,
    epochs.toFixed(1),
    (training.flops / 1e12).toFixed(1),
    ...QUARTERS.map((share) => perplexityAt(training.scores, share * training.seconds).toFixed(1)),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

/** Perplexity of the first evaluation at or after a moment. */
function perplexityAt(scores: readonly CurvePoint[], seconds: number): number {
  const point = scores.find((score) => score.seconds >= seconds) ?? scores.at(-1);
  return point ? Math.exp(point.value) : NaN;
}

void main();
