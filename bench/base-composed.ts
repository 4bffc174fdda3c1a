/**
 * @file Latency of a BERT-base-sized model, pruned, int8, and both: random weights, neurons removed at random as the
 * prune stage removes them (one threshold over all layers, heads of equal width), int8 as the quantize stage writes it.
 * All versions run in turns in one process, so a busy machine slows all alike.
 *
 *   node --require ./tools/register-typescript.cjs bench/base-composed.ts [--target 0.6] [--hidden 0.25] [--threads 1]
 *        [--seconds 60] [--layers 12] [--width 768] [--as-exported]
 *
 * --hidden is the share of hidden dimensions that the last two versions lose besides the neurons. --as-exported adds every
 * version with its residual additions as other exporters write them, as Add, which ONNX Runtime fuses (docs/serving.md).
 */
import { parseArgs } from 'node:util';
import { readEnvironment } from '../packages/core/src/bench/environment';
import { syntheticInputs } from '../packages/core/src/bench/inputs';
import { OtherLoad } from '../packages/core/src/bench/other-load';
import { median, speedup } from '../packages/core/src/bench/statistics';
import { takeTurns } from '../packages/core/src/bench/take-turns';
import type { Bundle, Manifest } from '../packages/core/src/bundle';
import { clone } from '../packages/core/src/graph';
import type { Model } from '../packages/core/src/graph';
import { costOf } from '../packages/core/src/graph/cost';
import { createTransformer, transformerConfig } from '../packages/core/src/models';
import { writeModel } from '../packages/core/src/onnx';
import { withAdd } from '../packages/core/src/onnx/testing';
import { specialise } from '../packages/core/src/passes';
import { equalHeads } from '../packages/core/src/prune/equal-heads';
import { keepPlan, selectNeurons } from '../packages/core/src/prune/neurons';
import type { NeuronGroup, NeuronTargets } from '../packages/core/src/prune/neurons';
import { shrink } from '../packages/core/src/prune/shrink';
import { quantizeDynamicInt8 } from '../packages/core/src/quantize';
import { chooseForm } from '../packages/core/src/quantize/choose-form';
import { ortRuntime } from '../packages/core/src/runtime';
import { Random } from '../packages/core/src/train/random';

const { values: args } = parseArgs({
  options: {
    target: { type: 'string', default: '0.6' },
    hidden: { type: 'string', default: '0.25' },
    threads: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '60' },
    layers: { type: 'string', default: '12' },
    width: { type: 'string', default: '768' },
    'as-exported': { type: 'boolean', default: false },
  },
});
const threads = Number(args.threads);
const VOCABULARY = 30522;
const SHAPES = [
  { batch: 1, sequence: 32 },
  { batch: 8, sequence: 128 },
];

/** The bundle without a share of its neurons, and of its hidden dimensions, drawn by chance. */
function pruned(bundle: Bundle, target: number, hidden: number): Bundle {
  const structure = bundle.manifest.structure!;
  const random = new Random(1);
  const group = (kind: NeuronGroup['kind'], layer: number, neurons: number): NeuronGroup => ({
    kind,
    layer,
    importance: Float32Array.from({ length: neurons }, () => random.uniform()),
  });
  const groups = structure.layers.flatMap(({ queryDims, valueDims, ffn }, layer) => [
    group(
      'query',
      layer,
      queryDims.reduce((sum, size) => sum + size, 0),
    ),
    group(
      'value',
      layer,
      valueDims.reduce((sum, size) => sum + size, 0),
    ),
    group('ffn', layer, ffn),
  ]);
  if (hidden > 0) groups.push(group('hidden', -1, structure.hidden));
  const targets: NeuronTargets = { query: target, value: target, ffn: target, hidden };
  const plan = keepPlan(structure, selectNeurons(groups, targets, { scope: 'global', floor: 0 }));
  return shrink(bundle, equalHeads(structure, plan, groups));
}

interface Version {
  readonly name: string;
  readonly model: Model;
  /** What runs. */
  readonly file: Uint8Array;
  /** Of 1x128 against the dense model; int8 operations count as float ones. */
  readonly flops: number;
}

/** A model as it is, and in int8. */
async function versions(name: string, { model }: Bundle): Promise<Version[]> {
  const int8 = clone(model);
  const { form } = await chooseForm(model, threads);
  quantizeDynamicInt8(int8, { form });
  const dims = model.graph.inputs.map((input) => [input.name, [1, 128]] as const);
  const { flops } = costOf(specialise(clone(model), Object.fromEntries(dims)));
  const both = [
    { name: `${name}, fp32`, model, file: writeModel(model), flops },
    { name: `${name}, int8 (${form})`, model: int8, file: writeModel(int8), flops },
  ];
  if (!args['as-exported']) return both;
  return both.flatMap((version) => [
    version,
    { ...version, name: `${version.name}, additions as exported`, file: withAdd(version.file) },
  ]);
}

async function measure(all: readonly Version[], manifest: Manifest, shape: (typeof SHAPES)[number]): Promise<string[]> {
  const executables = [];
  for (const { file } of all) executables.push(await ortRuntime.compile(file, { threads }));
  const feeds = syntheticInputs(manifest, VOCABULARY, shape, 1);
  const load = new OtherLoad();
  const samples = await takeTurns(
    executables.map((executable) => () => executable.run(feeds)),
    { warmup: 2, minRounds: 5, maxRounds: 300, seconds: Number(args.seconds) },
  );
  for (const executable of executables) await executable.release();
  const others = `others used ${Math.round(100 * load.share())} % of the machine`;
  console.log(`${shape.batch}x${shape.sequence}: ${samples[0].length} rounds, ${others}`);
  return samples.map((own) => {
    const { value, interval } = speedup(samples[0], own);
    return `${median(own).toFixed(1)} ms, ${value.toFixed(2)}x (${interval.map((x) => x.toFixed(2)).join('-')})`;
  });
}

const weightBytes = ({ graph }: Model): number =>
  graph.initializers.reduce((sum, { constant }) => sum + constant!.bytes.byteLength, 0);

async function main(): Promise<void> {
  const [target, hidden, layers, width] = [args.target, args.hidden, args.layers, args.width].map(Number);
  const sizes = { layers, hidden: width, heads: width / 64, vocabulary: VOCABULARY, maxLength: 512 };
  const options = { task: 'classification', labels: ['a', 'b'], seed: 1, name: 'bench' } as const;
  const dense = createTransformer(transformerConfig('bert', sizes), options);
  const share = (part: number): string => `${Math.round(100 * part)} %`;
  const all = [
    ...(await versions('dense', dense)),
    ...(await versions(`${share(target)} of the neurons removed`, pruned(dense, target, 0))),
    ...(await versions(`and ${share(hidden)} of the hidden dimensions`, pruned(dense, target, hidden))),
  ];
  const { cpu, cpuFlags, runtime } = readEnvironment(threads);
  console.log(`${cpu} (${cpuFlags.join(' ')}), ${runtime}, ${threads} threads; L${layers} H${width}`);
  const columns: string[][] = [];
  for (const shape of SHAPES) columns.push(await measure(all, dense.manifest, shape));
  const shapes = SHAPES.map(({ batch, sequence }) => `${batch}x${sequence}`);
  console.log(`\n| model | weights | FLOPs | ${shapes.join(' | ')} |\n|${'---|'.repeat(3 + shapes.length)}`);
  all.forEach(({ name, model, flops }, i) => {
    const bytes = weightBytes(model);
    const size = `${(bytes / 1e6).toFixed(0)} MB, ${share(bytes / weightBytes(dense.model))}`;
    console.log(`| ${name} | ${size} | ${share(flops / all[0].flops)} | ${columns.map((own) => own[i]).join(' | ')} |`);
  });
}

void main();
