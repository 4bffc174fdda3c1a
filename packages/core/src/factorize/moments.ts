/** @file Second moments of activations: what a layer's inputs (or products) look like on texts of a data set. */
import { throwIfAborted } from '../errors';
import { clone, DTYPES } from '../graph';
import type { Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { inferShapes } from '../passes';
import { ortRuntime } from '../runtime';
import type { Batches } from '../text';
import type { TrainingContext } from '../finetune/train-on';
import { matrixOf } from './rewrite';
import { momentSide } from './low-rank';
import type { SecondMoment } from './low-rank';
import { isLinear } from './targets';
import type { Target } from './targets';

/** A value of the graph whose second moment is wanted. */
interface Wanted {
  readonly of: SecondMoment['of'];
  /** Names of the values; moments of several add up (a weight that layers share). */
  readonly values: readonly string[];
  /** About the mean, because a bias can keep that. */
  readonly isCentred: boolean;
}

/** What a target's approximation needs to know; look-ups need nothing (each row counts alike). */
function wantedBy(target: Target): Wanted | undefined {
  const sites = target.sites.filter(isLinear);
  if (sites.length === 0) return undefined;
  const { rows, columns } = matrixOf(target);
  // A Gemm's output has its bias in it already.
  const plain = sites.every(({ node }) => node.opType === 'MatMul');
  const of = plain ? momentSide(rows, columns) : 'inputs';
  const values = sites.map(({ node }) => (of === 'inputs' ? node.input(0) : node.output()).name);
  return { of, values, isCentred: target.bias !== undefined };
}

/**
 * Second moments over the first `rows` rows of the batches, padding left out, by weight name. Memory: one float64
 * matrix for each value that is looked at; it does not grow with the rows.
 */
export async function collectMoments(
  model: Model,
  targets: readonly Target[],
  batches: Batches,
  rows: number,
  { threads, signal, progress }: Pick<TrainingContext, 'threads' | 'signal' | 'progress'>,
): Promise<Map<string, SecondMoment>> {
  const wanted = new Map(
    targets.flatMap((target) => {
      const found = wantedBy(target);
      return found ? [[target.weight.name, found] as const] : [];
    }),
  );
  const values = [...new Set([...wanted.values()].flatMap((entry) => entry.values))];
  const { model: observed, outputs } = withMoments(model, values);
  const sums = new Map<string, Float64Array>();
  const executable = await ortRuntime.compile(observed, { threads });
  try {
    const epoch = batches.epoch(0);
    const { batchSize } = batches.options;
    const count = Math.min(epoch.count, Math.ceil(rows / batchSize));
    for (let i = 0; i < count; i++) {
      // The engine blocks this thread: give cancellation and progress messages a turn.
      await new Promise(setImmediate);
      throwIfAborted(signal);
      const batch = epoch.batch(i);
      // A batch that is filled up has rows that are no texts; one of them is better than none.
      if (batch.rows.length < batchSize && i > 0) continue;
      const results = await executable.run(batch.inputs);
      for (const [value, output] of outputs) addTo(sums, value, results[output].data as Float32Array);
      progress({ fraction: (i + 1) / count, phase: `looking at activations: batch ${i + 1}/${count}` });
    }
  } finally {
    await executable.release();
  }
  return new Map([...wanted].map(([weight, entry]) => [weight, finished(entry, total(sums, entry.values))]));
}

/** The moment from the sums of z' z with z = [x, 1]: sums of x' x, of x, and the number of rows. */
function finished({ of, isCentred }: Wanted, sums: Float64Array): SecondMoment {
  const width = Math.sqrt(sums.length);
  const n = width - 1;
  const count = sums[sums.length - 1];
  const mean = sums.slice(n * width, n * width + n).map((sum) => sum / count);
  const values = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      values[i * n + j] = sums[i * width + j] / count - (isCentred ? mean[i] * mean[j] : 0);
    }
  }
  return isCentred ? { of, values, mean } : { of, values };
}

/** A copy of the model whose only outputs are z' z, z = [x, 1], of the named values; outputs by value name. */
function withMoments(model: Model, names: readonly string[]): { model: Model; outputs: Map<string, string> } {
  const observed = clone(model);
  inferShapes(observed);
  const { graph } = observed;
  const build = new GraphBuilder(observed);
  graph.outputs.length = 0;
  const mask = graph.values.get('attention_mask');
  const weights =
    mask && graph.inputs.includes(mask)
      ? build.op('Reshape', [build.op('Cast', [mask], { to: DTYPES.float32.onnx }), build.int64s([-1, 1])])
      : undefined;
  const outputs = new Map(
    names.map((name, i) => {
      const product = momentOf(build, graph.value(name), weights);
      return [name, build.output(product, `moment.${i}`).name];
    }),
  );
  graph.sort();
  return { model: observed, outputs };
}

/** z' z over all positions, those of padding multiplied by 0 where positions are told apart. */
function momentOf(build: GraphBuilder, x: Value, weights: Value | undefined): Value {
  const width = x.shape!.at(-1) as number;
  const flat = build.op('Reshape', [x, build.int64s([-1, width])]);
  const extended = build.op('Pad', [flat, build.int64s([0, 0, 0, 1]), build.scalar(1)]);
  const real = weights && x.shape!.length === 3 ? build.op('Mul', [extended, weights]) : extended;
  return build.op('MatMul', [build.op('Transpose', [real], { perm: [1, 0] }), real]);
}

function addTo(sums: Map<string, Float64Array>, name: string, values: Float32Array): void {
  const sum = sums.get(name) ?? new Float64Array(values.length);
  sums.set(name, sum);
  for (let i = 0; i < values.length; i++) sum[i] += values[i];
}

function total(sums: ReadonlyMap<string, Float64Array>, [first, ...others]: readonly string[]): Float64Array {
  if (others.length === 0) return sums.get(first)!;
  const sum = sums.get(first)!.slice();
  for (const name of others) sums.get(name)!.forEach((value, i) => (sum[i] += value));
  return sum;
}
