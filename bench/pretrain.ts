/**
 * @file Pretrains models of several sizes on the same text, for the same time or the same number of operations (which a
 * busy machine does not change), and prints their held-out perplexity along it, after Li et al. 2020 (arXiv:2002.11794).
 * The vocabulary is trained on the text and the same for all.
 *
 *   node --require ./tools/register-typescript.cjs bench/pretrain.ts --text ../shared/data/unlabeled_wiki_sents \
 *     --sizes 2x64,2x128,4x256 --seconds 60 | --tflops 2 [--architecture roberta] [--lr 1e-3] [--max-length 64] [--batch 32]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { pretrain, pretrainSchema } from '../packages/core/src/pretrain';
import { importDataset } from '../packages/core/src/text/import';
import type { CurvePoint, TrainLoopResult } from '../packages/core/src/train';

const { values: args } = parseArgs({
  options: {
    text: { type: 'string' },
    sizes: { type: 'string', default: '2x128,4x256' },
    seconds: { type: 'string', default: '60' },
    tflops: { type: 'string' },
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
      '| size | parameters | steps | passes | seconds | TFLOPs | perplexity at 25 % | 50 % | 75 % | 100 % of the budget |',
    );
    console.log('|---|---|---|---|---|---|---|---|---|---|');
    for (const size of args.sizes.split(',')) await trainSize(size, dataset, join(scratch, size));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function trainSize(size: string, dataset: string, folder: string): Promise<void> {
  const [layers, hidden] = size.split('x').map(Number);
  const config = pretrainSchema.parse({
    scratch: { architecture: args.architecture, layers, hidden, vocabulary: Number(args.vocabulary) },
    budget: args.tflops ? { flops: Number(args.tflops) * 1e12 } : { seconds: Number(args.seconds) },
    evaluations: 8,
    evaluationBatches: 8,
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
    training.seconds.toFixed(0),
    (training.flops / 1e12).toFixed(2),
    ...QUARTERS.map((share) => perplexityAt(training, share).toFixed(1)),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

/** Perplexity of the first evaluation after a share of the budget. */
function perplexityAt({ scores, seconds, flops }: TrainLoopResult, share: number): number {
  const used = (point: CurvePoint): number => (args.tflops ? point.flops / flops : point.seconds / seconds);
  const found = scores.find((point) => used(point) >= share) ?? scores.at(-1);
  return found ? Math.exp(found.value) : NaN;
}

void main();
