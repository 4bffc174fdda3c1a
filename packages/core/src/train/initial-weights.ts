/** @file What a trainer takes from the model that it is given. */
import { invalid } from '../errors';
import { Tensor } from '../graph';
import type { Graph, Model } from '../graph';
import type { HostTensor } from '../runtime/runtime';
import { ParameterSlabs } from './slabs';

/** Smaller weights may be copied into every session. */
const LARGE_ELEMENTS = 2 ** 16;

/**
 * Copies weights into new slabs and lets the model refer to them there, so that no second copy is needed.
 * @throws ModelpressError `train.parameter`, `train.not-finite`, and those of `ParameterSlabs.allocate`
 */
export function moveIntoSlabs({ graph }: Model, names: readonly string[]): ParameterSlabs {
  const slabs = ParameterSlabs.allocate(names.map((name) => ({ name, dims: floatWeight(graph, name).dims })));
  for (const { name, dims, weight } of slabs.slots) {
    weight.set(floatWeight(graph, name).data);
    graph.value(name).constant = Tensor.float32(dims, weight);
    checkFinite(name, weight);
  }
  return slabs;
}

function floatWeight(graph: Graph, name: string): Tensor<'float32'> {
  const { constant } = graph.value(name);
  if (!constant?.is('float32')) {
    throw invalid(
      'train.parameter',
      `"${name}" is ${constant ? constant.dtype : 'not an initializer'}; only float32 weights can be trained.`,
      { field: name },
    );
  }
  return constant;
}

function checkFinite(name: string, weight: Float32Array): void {
  const bad = weight.findIndex((x) => !Number.isFinite(x));
  if (bad < 0) return;
  throw invalid('train.not-finite', `Weight "${name}" holds ${weight[bad]} at element ${bad} of ${weight.length}.`, {
    field: name,
  });
}

/** Large weights that are not trained, as feeds. */
export const frozenWeights = ({ graph }: Model, trained: ParameterSlabs): Record<string, HostTensor> =>
  Object.fromEntries(
    graph.initializers.flatMap(({ name, constant }) => {
      if (!constant || trained.has(name) || constant.size < LARGE_ELEMENTS) return [];
      return [[name, { dtype: constant.dtype, dims: constant.dims, data: constant.data } as const]];
    }),
  );
