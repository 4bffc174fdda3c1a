/**
 * @file Latency of pruned sizes: odd ones, and the same rounded to multiples, in turns.
 *
 *   node --require ./tools/register-typescript.cjs bench/prune-shapes.ts --model DIR [--threads 2] [--seconds 10]
 *
 * Takes the sizes of a bundle that has a structure and builds models with random weights of these sizes, and of sizes
 * with other heads and FFN layers. FLOPs and time are relative to the sizes as they are.
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

const { values: args } = parseArgs({
  options: {
    model: { type: 'string' },
    threads: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '10' },
  },
});

interface Way {
  readonly name: string;
  /** Dimensions of every head; default: as they are. */
  readonly head?: number;
  /** FFN neurons are rounded to a multiple of this. */
  readonly ffn?: number;
}
const WAYS: readonly Way[] = [
  { name: 'as they are' },
  { name: 'FFN to 8', ffn: 8 },
  { name: 'FFN to 16', ffn: 16 },
  ...[11, 12, 13, 14, 15, 16, 17].map((head) => ({ name: `heads of ${head}`, head })),
  { name: 'heads of 13, FFN to 16', head: 13, ffn: 16 },
  { name: 'heads of 16, FFN to 16', head: 16, ffn: 16 },
];

async function main(): Promise<void> {
  if (!args.model) throw new Error('Give --model, a pruned bundle.');
  const bundle = await readBundle(args.model);
  const config = transformerConfigOf(bundle);
  const changed = ({ heads, queryDims, valueDims, ffn }: LayerSizes, way: Way): LayerSizes => ({
    heads,
    queryDims: queryDims.map((dim) => way.head ?? dim),
    valueDims: valueDims.map((dim) => way.head ?? dim),
    ffn: way.ffn ? Math.round(ffn / way.ffn) * way.ffn : ffn,
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
