/**
 * @file Serving of a pruned BERT-base: dense float and int8 in ONNX Runtime, and the native runtime with the form of each
 * product chosen by measurement. Weights are random, random blocks of them zero: speed only. All versions run in turns
 * in one process, so a busy machine slows all alike.
 *
 *   node --require ./tools/register-typescript.cjs bench/sparse-serving.ts [--pattern 1x16] [--sparsity 0.9] [--batch 8]
 *        [--sequence 128] [--threads 2] [--layers 12] [--hidden 768] [--seconds 40]
 */
import { parseArgs } from 'node:util';
import { readEnvironment } from '../packages/core/src/bench/environment';
import { syntheticInputs } from '../packages/core/src/bench/inputs';
import { OtherLoad } from '../packages/core/src/bench/other-load';
import { median, speedup } from '../packages/core/src/bench/statistics';
import { takeTurns } from '../packages/core/src/bench/take-turns';
import { clone } from '../packages/core/src/graph';
import type { Model, Tensor } from '../packages/core/src/graph';
import { createTransformer, transformerConfig } from '../packages/core/src/models';
import { EMISSION_FORMS, findSites, quantizeDynamicInt8 } from '../packages/core/src/quantize';
import { nativeRuntime, ortRuntime } from '../packages/core/src/runtime';
import type { Executable, Runtime } from '../packages/core/src/runtime';
import { accelerate } from '../packages/core/src/sparse';
import { Random } from '../packages/core/src/train/random';

const { values: args } = parseArgs({
  options: {
    pattern: { type: 'string', default: '1x16' },
    sparsity: { type: 'string', default: '0.9' },
    batch: { type: 'string', default: '8' },
    sequence: { type: 'string', default: '128' },
    threads: { type: 'string', default: '2' },
    layers: { type: 'string', default: '12' },
    hidden: { type: 'string', default: '768' },
    seconds: { type: 'string', default: '40' },
  },
});
const WIDTHS: Readonly<Record<string, number>> = { unstructured: 1, '4x1': 4, '1x16': 16 };

/** Zeroes random blocks of every weight of a product, in place. */
function prune(model: Model, width: number, sparsity: number): void {
  const random = new Random(2);
  for (const site of findSites(model.graph).sites) {
    const { dims, data } = site.weight.constant as Tensor<'float32'>;
    if (site.kind !== 'linear' || dims[1] % width !== 0) continue;
    for (let at = 0; at < data.length; at += width) if (random.uniform() < sparsity) data.fill(0, at, at + width);
  }
}

async function main(): Promise<void> {
  const [batch, sequence, threads] = [args.batch, args.sequence, args.threads].map(Number);
  const sizes = { layers: Number(args.layers), hidden: Number(args.hidden), heads: Number(args.hidden) / 64 };
  const { model, manifest } = createTransformer(
    transformerConfig('bert', { ...sizes, vocabulary: 30522, maxLength: 512 }),
    { task: 'classification', labels: ['a', 'b'], seed: 1, name: 'bench' },
  );
  prune(model, WIDTHS[args.pattern], Number(args.sparsity));

  const versions: { name: string; runtime: Runtime; model: Model }[] = [
    { name: 'dense fp32, ONNX Runtime', runtime: ortRuntime, model },
  ];
  for (const form of EMISSION_FORMS) {
    const int8 = clone(model);
    quantizeDynamicInt8(int8, { form });
    versions.push({ name: `dense int8, ONNX Runtime (${form})`, runtime: ortRuntime, model: int8 });
  }
  for (const int8 of [false, true]) {
    const options = { rows: batch * sequence, threads, seconds: 0.5, int8, components: manifest.components };
    const { model: accelerated, weights } = await accelerate(model, options);
    const forms = [...new Set(weights.map(({ form }) => form))];
    const counts = forms.map((form) => `${weights.filter((weight) => weight.form === form).length} ${form}`).join(', ');
    versions.push({
      name: `native${int8 ? ', int8 allowed' : ''}: ${counts}`,
      runtime: nativeRuntime,
      model: accelerated,
    });
  }

  const executables: Executable[] = [];
  for (const version of versions) executables.push(await version.runtime.compile(version.model, { threads }));
  const feeds = syntheticInputs(manifest, 30522, { batch, sequence }, 1);
  const load = new OtherLoad();
  const samples = await takeTurns(
    executables.map((executable) => () => executable.run(feeds)),
    { warmup: 2, minRounds: 5, maxRounds: 200, seconds: Number(args.seconds) },
  );
  const { cpu, cpuFlags, runtime } = readEnvironment(threads);
  console.log(`${cpu} (${cpuFlags.join(' ')}), ${runtime}`);
  console.log(
    `L${sizes.layers} H${sizes.hidden}, ${args.sparsity} of ${args.pattern} blocks zero, ${batch}x${sequence}, threads ${threads}`,
  );
  console.log(`${samples[0].length} rounds, others used ${Math.round(100 * load.share())} % of the machine`);
  const int8 = median(samples[1]) < median(samples[2]) ? samples[1] : samples[2];
  versions.forEach(({ name }, i) => {
    const [float, integer] = [samples[0], int8].map((base) => {
      const { value, interval } = speedup(base, samples[i]);
      return `${value.toFixed(2)}x (${interval.map((x) => x.toFixed(2)).join('-')})`;
    });
    const ms = `${median(samples[i]).toFixed(1)} ms, fastest ${Math.min(...samples[i]).toFixed(1)}`;
    console.log(`  ${name}: ${ms}; ${float} dense fp32, ${integer} best dense int8`);
  });
  for (const executable of executables) await executable.release();
}

void main();
