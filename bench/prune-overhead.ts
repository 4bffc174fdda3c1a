/**
 * @file What pruning adds to a training step, how long masks of trained scores take, and how long physical removal does.
 *
 *   node --require ./tools/register-typescript.cjs bench/prune-overhead.ts [--threads 2] [--seconds 20] [--skip-shrink]
 *
 * Steps: a MiniLM-shaped classifier (L6 H384) trains in several ways, in turns; times are medians relative to plain
 * training. Processor time says more than the clock where others use the machine. Removal: BERT-base (L12 H768, random weights, as read from a file) loses 60 % of its neurons and, apart from
 * that, a third of its hidden dimensions.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '../packages/core/src/bench/statistics';
import { takeTurns } from '../packages/core/src/bench/take-turns';
import { readBundle, writeBundle } from '../packages/core/src/bundle';
import type { Bundle } from '../packages/core/src/bundle';
import { clone } from '../packages/core/src/graph';
import { createTransformer, hiddenMaskFeeds, maskHidden, transformerConfig } from '../packages/core/src/models';
import { parameterNames } from '../packages/core/src/passes';
import { keepPlan, selectNeurons } from '../packages/core/src/prune';
import type { KeepPlan, NeuronKind } from '../packages/core/src/prune';
import { masksFromScores } from '../packages/core/src/prune/masks';
import { hiddenMasks, neuronMasks } from '../packages/core/src/prune/neuron-masks';
import { NeuronMeter } from '../packages/core/src/prune/neuron-meter';
import { shrink } from '../packages/core/src/prune/shrink';
import type { HostTensor } from '../packages/core/src/runtime/runtime';
import { taskLoss } from '../packages/core/src/finetune/loss';
import { Random } from '../packages/core/src/train/random';
import { optimizerSchema } from '../packages/core/src/train/optimizer';
import { Trainer } from '../packages/core/src/train/trainer';
import type { TrainerHooks } from '../packages/core/src/train/trainer';

const { values: args } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '20' },
    'skip-shrink': { type: 'boolean', default: false },
  },
});
const LABELS = ['a', 'b', 'c', 'd'];
const OPTIMIZER = optimizerSchema.parse({ learningRate: 1e-5 });

function classifier(sizes: { layers: number; hidden: number; heads: number; vocabulary: number }): Bundle {
  const config = transformerConfig('bert', { ...sizes, maxLength: 512 });
  return createTransformer(config, { task: 'classification', labels: LABELS, seed: 0, name: 'bench' });
}

/** A plan that removes this share by importances drawn at random. */
function randomPlan(bundle: Bundle, targets: Partial<Record<NeuronKind, number>>): KeepPlan {
  const meter = new NeuronMeter(bundle, Object.keys(targets) as NeuronKind[], 'random', new Random(3));
  meter.measure(() => ({ weight: new Float32Array(), gradient: new Float32Array() }));
  const groups = meter.groups();
  return keepPlan(
    bundle.manifest.structure!,
    selectNeurons(groups, targets, { scope: 'global', floor: 0 }),
    meter.pooler(),
  );
}

type Way =
  | 'plain'
  | 'measuring importance'
  | 'measuring, with neuron masks'
  | 'measuring, with neuron and hidden masks';
const WAYS: readonly Way[] = [
  'plain',
  'measuring importance',
  'measuring, with neuron masks',
  'measuring, with neuron and hidden masks',
];

/** A trainer, and the batch's extra feeds. */
function trainerOf(bundle: Bundle, way: Way): { trainer: Trainer; feeds: Record<string, HostTensor> } {
  const { manifest } = bundle;
  const hasHidden = way === 'measuring, with neuron and hidden masks';
  const model = clone(bundle.model);
  const hooks: { -readonly [H in keyof TrainerHooks]: TrainerHooks[H] } = {};
  if (hasHidden) maskHidden(model, 384);
  const trainer = new Trainer({
    model,
    parameters: parameterNames(bundle.model),
    loss: taskLoss(manifest.task, manifest.output, { labelSmoothing: 0 }).loss,
    optimizer: OPTIMIZER,
    seed: 0,
    compile: { threads: Number(args.threads) },
    hooks,
  });
  if (way === 'plain') return { trainer, feeds: {} };
  const targets = { query: 0.3, value: 0.3, ffn: 0.3, ...(hasHidden && { hidden: 0.3 }) };
  const meter = new NeuronMeter(bundle, Object.keys(targets) as NeuronKind[], 'activation-gradient', new Random(0));
  hooks.afterGradients = () => meter.measure((name) => trainer.parameter(name));
  if (way === 'measuring importance') return { trainer, feeds: {} };
  const plan = randomPlan(bundle, targets);
  for (const [name, mask] of neuronMasks(manifest.components, manifest.structure!, plan)) trainer.setMask(name, mask);
  if (!plan.hidden) return { trainer, feeds: {} };
  for (const [name, mask] of hiddenMasks(bundle, plan.hidden)) trainer.setMask(name, mask);
  const kept = new Uint8Array(384);
  for (const dim of plan.hidden.dims) kept[dim] = 1;
  return { trainer, feeds: hiddenMaskFeeds(kept) };
}

async function steps(batch: number, sequence: number): Promise<void> {
  const bundle = classifier({ layers: 6, hidden: 384, heads: 12, vocabulary: 30_522 });
  const random = new Random(1);
  const ids = (draw: () => number): HostTensor => ({
    dtype: 'int64',
    dims: [batch, sequence],
    data: BigInt64Array.from({ length: batch * sequence }, () => BigInt(draw())),
  });
  const inputs: Record<string, HostTensor> = {
    input_ids: ids(() => random.integer(30_522)),
    attention_mask: ids(() => 1),
    token_type_ids: ids(() => 0),
    labels: { dtype: 'int64', dims: [batch], data: BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % 4)) },
  };
  const trainers = WAYS.map((way) => trainerOf(bundle, way));
  const processor: number[][] = WAYS.map(() => []);
  const works = trainers.map(({ trainer, feeds }, i) => async () => {
    const before = process.cpuUsage();
    await trainer.train([{ inputs: { ...inputs, ...feeds } }]);
    const { user, system } = process.cpuUsage(before);
    processor[i].push((user + system) / 1000);
  });
  const samples = await takeTurns(works, { warmup: 2, minRounds: 8, maxRounds: 200, seconds: Number(args.seconds) });
  const plain = median(samples[0]);
  const figures = WAYS.map((way, i) => {
    const ratios = samples[i].map((ms, round) => ms / samples[0][round]);
    const cpu = median(processor[i]) / median(processor[0]);
    return `${way} ${(median(samples[i]) / plain).toFixed(3)} (paired ${median(ratios).toFixed(3)}, processor time ${cpu.toFixed(3)})`;
  });
  console.log(
    `step ${batch}x${sequence}, ${plain.toFixed(0)} ms plain, ${samples[0].length} rounds: ${figures.join(', ')}`,
  );
  for (const { trainer } of trainers) await trainer.release();
}

async function removal(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'modelpress-shrink-'));
  try {
    await writeBundle(folder, classifier({ layers: 12, hidden: 768, heads: 12, vocabulary: 30_522 }));
    const bundle = await readBundle(folder);
    for (const [what, targets] of [
      ['60 % of the neurons', { query: 0.6, value: 0.6, ffn: 0.6 }],
      ['60 % of the neurons and a third of the hidden dimensions', { query: 0.6, value: 0.6, ffn: 0.6, hidden: 1 / 3 }],
    ] as const) {
      const plan = randomPlan(bundle, targets);
      const times: number[] = [];
      const cpu = process.cpuUsage();
      let parameters = 0;
      for (let i = 0; i < 3; i++) {
        const started = performance.now();
        parameters = shrink(bundle, plan).manifest.parameters.total;
        times.push(performance.now() - started);
      }
      const { user, system } = process.cpuUsage(cpu);
      const { total } = bundle.manifest.parameters;
      console.log(
        `BERT-base loses ${what}: ${(total / 1e6).toFixed(1)} -> ${(parameters / 1e6).toFixed(1)} M parameters in ` +
          `${(median(times) / 1000).toFixed(2)} s (${times.map((ms) => (ms / 1000).toFixed(2)).join(', ')}; ${((user + system) / 1e6 / times.length).toFixed(2)} s of one core)`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What movement, PST and l0 do after every step of the pruning phase. */
function renewal(): void {
  const { model, manifest } = classifier({ layers: 6, hidden: 384, heads: 12, vocabulary: 30_522 });
  const random = new Random(1);
  const blocks = manifest.components.filter(({ layer }) => layer !== undefined);
  const matrices = blocks.map(({ layer = -1, weight }) => {
    const [rows, columns] = model.graph.value(weight).shape as [number, number];
    const scores = Float32Array.from({ length: rows * columns }, () => random.normal());
    return { name: weight, layer, rows, columns, scores };
  });
  const masks = new Map(matrices.map(({ name, scores }) => [name, new Float32Array(scores.length)]));
  const times = Array.from({ length: 12 }, () => {
    const started = performance.now();
    const found = masksFromScores(matrices, 0.5, { kind: 'weight' }, 'matrix');
    for (const [name, mask] of found) masks.get(name)!.set(mask);
    return performance.now() - started;
  });
  const scores = matrices.reduce((sum, matrix) => sum + matrix.scores.length, 0);
  console.log(
    `renewing the masks of ${(scores / 1e6).toFixed(1)} M scores: ${median(times).toFixed(0)} ms, one thread`,
  );
}

async function main(): Promise<void> {
  renewal();
  if (!args['skip-shrink']) await removal();
  await steps(32, 32);
  await steps(8, 128);
}

void main();
