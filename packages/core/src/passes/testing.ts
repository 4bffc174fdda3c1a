/** @file Small models and comparisons for the tests of passes. */
import type { Model } from '../graph';
import { clone, print, verify } from '../graph';
import type { HostTensor } from '../runtime';
import { ortRuntime } from '../runtime';
import type { Pass } from './pass';

/** Runs a pass on a copy of a model and checks that the result is well-formed and `modified` says the truth. */
export function applied(pass: Pass, model: Model): Model {
  const result = clone(model);
  const { modified } = pass(result);
  verify(result);
  if (modified !== (print(result) !== print(model))) throw new Error(`The pass says modified: ${modified}.`);
  return result;
}

/** The nodes of a model as text, without constants. */
export const nodesOf = (model: Model): string[] =>
  print(model)
    .split('\n')
    .filter((line) => line.includes('('))
    .slice(1)
    .map((line) => line.trim());

/** Runs a model on ONNX Runtime. */
export async function run(
  model: Model,
  feeds: Readonly<Record<string, HostTensor>>,
): Promise<Record<string, HostTensor>> {
  const executable = await ortRuntime.compile(model, { threads: 1, optimization: 'disabled' });
  try {
    return await executable.run(feeds);
  } finally {
    await executable.release();
  }
}

/** Float feeds in [-2, 2] for every input of a model with static shapes. */
export const feedsOf = ({ graph }: Model): Record<string, HostTensor> =>
  Object.fromEntries(
    graph.inputs.map(({ name, shape }) => {
      const dims = (shape ?? []) as readonly number[];
      const length = dims.reduce((product, dim) => product * dim, 1);
      return [name, { dtype: 'float32', dims, data: Float32Array.from({ length }, (_, i) => Math.sin(i * 7.3) * 2) }];
    }),
  );

/** Largest absolute difference between two results. */
export function largestDifference(a: HostTensor, b: HostTensor): number {
  const [x, y] = [a, b].map(({ data }) => Array.from(data as Float32Array));
  if (x.length !== y.length) return Infinity;
  return x.reduce((worst, value, i) => Math.max(worst, Math.abs(value - y[i])), 0);
}
