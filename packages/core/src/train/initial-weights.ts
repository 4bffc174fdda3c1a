/** @file What a trainer takes from the model that it is given. */
import { invalid } from '../errors';
import { sizeOf } from '../graph';
import type { Model, Tensor } from '../graph';
import type { HostTensor } from '../runtime/runtime';

/** Smaller weights may be copied into every session. */
const LARGE_ELEMENTS = 2 ** 16;

/**
 * The data of a weight that can be trained.
 * @throws ModelpressError `train.parameter`, `train.not-finite`
 */
export function floatWeight(model: Model, name: string): Tensor<'float32'> {
  const { constant } = model.graph.value(name);
  if (!constant?.is('float32')) {
    throw invalid(
      'train.parameter',
      `"${name}" is ${constant ? constant.dtype : 'not an initializer'}; only float32 weights can be trained.`,
      { field: name },
    );
  }
  const bad = constant.data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) {
    throw invalid(
      'train.not-finite',
      `Weight "${name}" holds ${constant.data[bad]} at element ${bad} of ${sizeOf(constant.dims)}.`,
      { field: name },
    );
  }
  return constant;
}

/** Large weights that are not trained, as feeds. */
export const frozenWeights = (model: Model, trained: ReadonlySet<string>): Record<string, HostTensor> =>
  Object.fromEntries(
    model.graph.initializers.flatMap(({ name, constant }) => {
      if (!constant || trained.has(name) || constant.size < LARGE_ELEMENTS) return [];
      return [[name, { dtype: constant.dtype, dims: constant.dims, data: constant.data } as const]];
    }),
  );
