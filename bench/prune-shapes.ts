/**
 * @file Latency of pruned sizes: odd ones, and the same rounded to multiples, in turns.
 *
 *   node --require ./tools/register-typescript.cjs bench/prune-shapes.ts --model DIR [--threads 2] [--seconds 10] [--only outputs]
 *
 * Takes the sizes of a bundle that has a structure and builds models with random weights of these sizes, and of sizes
 * with other heads and FFN layers, and with fewer outputs of W_AO and W_O. FLOPs and time are relative to the sizes as
 * they are.
 */
import { parseArgs } from 'node:util';
import { syntheticInputs } from '../packages/core/src/bench/inputs';
import { median } from '../packages/core/src/bench/statistics';
import { takeTurns } from '../packages/core/src/bench/take-turns';
import { readBundle } from '../packages/core/src/bundle';
import { costOf } from '../packages/core/src/graph/cost';
import { buildTransformer, freshWeights, headOf, transformerConfigOf } from '../packages/core/src/models';
import type { LayerSizes } from '../packages/core/src/models';
import { specialise } from '../packages/core/src/passes';
import { ortRuntime } from '../packages/core/src/runtime';
import { Random } from '../packages/core/src/train/random';

const { values: args } = parseArgs({
  options: {
    model: { type: 'string' },
    threads: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
  },
});

interface Way {
  readonly name: string;
  /** Dimensions of every head; default: as they are. */
  readonly head?: number;
  /** FFN neurons are rounded to a multiple of this. */
  readonly ffn?: number;
  /** Share of the outputs of these matrices that is left, drawn at random, and put back to the full width. */
  readonly outputs?: Partial<Record<'W_AO' | 'W_O', number>>;
}
const AS_THEY_ARE: Way = { name: 'as they are' };
const CHANGES: readonly Way[] = [
  { name: 'FFN to 8', ffn: 8 },
  { name: 'FFN to 16', ffn: 16 },
  ...[11, 12, 13, 14, 15, 16, 17].map((head) => ({ name: `heads of ${head}`, head })),
  { name: 'heads of 13, FFN to 16', head: 13, ffn: 16 },
  { name: 'heads of 16, FFN to 16', head: 16, ffn: 16 },
  ...[0.6, 0.4].flatMap((left) => [
    { name: `${100 * left} % of the outputs of W_O`, outputs: { W_O: left } },
    { name: `${100 * left} % of the outputs of W_AO and W_O`, outputs: { W_AO: left, W_O: left } },
  ]),
];
const WAYS = [AS_THEY_ARE, ...CHANGES.filter(({ name }) => name.includes(args.only))];

const random = new Random(1);
const drawn = (width: number, share: number): number[] =>
  [...random.permutation(width).subarray(0, Math.round(width * share))].sort((a, b) => a - b);

async function main(): Promise<void> {
  if (!args.model) throw new Error('Give --model, a pruned bundle.');
  const bundle = await readBundle(args.model);
  const config = transformerConfigOf(bundle);
  const changed = ({ heads, queryDims, valueDims, ffn }: LayerSizes, way: Way): LayerSizes => ({
    heads,
    queryDims: queryDims.map((dim) => way.head ?? dim),
    valueDims: valueDims.map((dim) => way.head ?? dim),
    ffn: way.ffn ? Math.round(ffn / way.ffn) * way.ffn : ffn,
    ...(way.outputs?.W_AO && { attentionOutputs: drawn(config.hidden, way.outputs.W_AO) }),
    ...(way.outputs?.W_O && { ffnOutputs: drawn(config.hidden, way.outputs.W_O) }),
  });
  for (const shape of [
    { batch: 1, sequence: 32 },
    { batch: 8, sequence: 128 },
  ]) {
    const models = WAYS.map((way) => {
      const layers = config.layers.map((layer) => changed(layer, way));
      return buildTransformer({ ...config, layers }, headOf(bundle), freshWeights(0, 0.02)).model;
    });
    const flops = models.map((model) => {
      const shapes = model.graph.inputs.map(({ name }) => [name, [shape.batch, shape.sequence]] as const);
      return costOf(specialise(model, Object.fromEntries(shapes))).flops;
    });
    const executables = await Promise.all(
      models.map((model) => ortRuntime.compile(model, { threads: Number(args.threads) })),
    );
    const feeds = syntheticInputs(bundle.manifest, config.vocabulary, shape, 0);
    const samples = await takeTurns(
      executables.map((executable) => () => executable.run(feeds)),
      { warmup: 3, minRounds: 10, maxRounds: 500, seconds: Number(args.seconds) },
    );
    console.log(
      `${shape.batch}x${shape.sequence}, ${samples[0].length} rounds, ${median(samples[0]).toFixed(2)} ms as they are`,
    );
    WAYS.forEach(({ name }, i) => {
      const paired = median(samples[i].map((ms, round) => ms / samples[0][round]));
      console.log(`  ${name}: FLOPs ${(flops[i] / flops[0]).toFixed(3)}, time ${paired.toFixed(3)}`);
    });
    for (const executable of executables) await executable.release();
  }
}

void main();
