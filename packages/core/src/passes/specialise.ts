import { invalid, unsupported } from '../errors';
import type { Dim, Model, Shape, Value } from '../graph';
import { clone, formatShape, isStatic } from '../graph';
import { removeDeadCode } from './dead-code';
import { eliminateCommonSubexpressions } from './eliminate-common-subexpressions';
import { eliminateIdentities } from './eliminate-identities';
import { foldConstants } from './fold-constants';
import { fuseGelu } from './fuse-gelu';
import { fuseLayerNormalization } from './fuse-layer-normalization';
import { sequence } from './pass';
import { raiseOpset } from './raise-opset';

/** Sizes by symbolic dimension (`{ batch: 8 }`), or whole shapes by input (`{ input_ids: [8, 32] }`). */
export type Specialisation = Readonly<Record<string, number | readonly number[]>>;

/** Folds shape arithmetic and brings a graph into the forms that the op table knows best. */
export const simplify = sequence(
  raiseOpset,
  foldConstants,
  eliminateIdentities,
  eliminateCommonSubexpressions,
  fuseLayerNormalization,
  fuseGelu,
  removeDeadCode,
);

/**
 * A copy of a model for one size of input: static shapes, no shape arithmetic, and weights under their names (but see
 * `foldConstants`). What remains is the small set of ops that the differentiator works on.
 * @throws ModelpressError `passes.unknown-dimension`, `passes.dynamic-shape` when some size stays open, `ops.*`
 */
export function specialise(model: Model, sizes: Specialisation): Model {
  const special = clone(model);
  setInputShapes(special, sizes);
  simplify(special);
  for (const value of special.graph.values.values()) requireStatic(value);
  return special;
}

function setInputShapes({ graph }: Model, sizes: Specialisation): void {
  const known = new Set(graph.inputs.flatMap(({ name, shape }) => [name, ...(shape ?? [])]));
  const unknown = Object.keys(sizes).find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw invalid(
      'passes.unknown-dimension',
      `No input has a dimension or the name "${unknown}". The inputs are ${graph.inputs.join(', ')}.`,
      { field: unknown },
    );
  }
  const sizeOf = (dim: Dim): Dim => {
    const size = sizes[dim];
    return typeof dim === 'string' && typeof size === 'number' ? size : dim;
  };
  for (const input of graph.inputs) {
    const shape = sizes[input.name];
    input.shape = typeof shape === 'object' ? compatible(input, shape) : input.shape?.map(sizeOf);
  }
}

/** The given shape, if it agrees with what the input declares. */
function compatible(input: Value, shape: readonly number[]): Shape {
  const declared = input.shape;
  const fits =
    !declared ||
    (declared.length === shape.length && declared.every((dim, i) => typeof dim === 'string' || dim === shape[i]));
  if (fits) return shape;
  throw invalid('passes.shape', `The input ${input} cannot have the shape ${formatShape(shape)}.`, {
    field: input.name,
  });
}

function requireStatic(value: Value): void {
  if (value.shape && isStatic(value.shape)) return;
  const { producer } = value;
  const origin = producer ? `computed by ${producer}` : 'an input';
  throw unsupported(
    'passes.dynamic-shape',
    `The shape of ${value}, ${origin}, depends on data or on a size that was not given.`,
    producer?.location,
  );
}
