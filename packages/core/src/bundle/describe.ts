/** @file The parts of a manifest that are computed from the graph. */
import { isFloat } from '../graph';
import type { Model, Tensor, Value } from '../graph';
import type { CodebookEntry, ComponentEntry, Manifest } from './manifest';

/** Facts about a model's weights. */
export type WeightFacts = Pick<Manifest, 'parameters' | 'sparsity'>;

/**
 * Counts parameters and zeros. Rank-0 floats (scales, epsilons) and integers of shape arithmetic are no parameters. A
 * weight that layers share counts once; one that is stored as codes counts with the elements that it decodes to.
 */
export function weightFacts(
  model: Model,
  components: readonly ComponentEntry[],
  codebooks: readonly CodebookEntry[] = [],
): WeightFacts {
  const centroids = new Set(codebooks.map((entry) => entry.centroids));
  const parameters = model.graph.initializers.filter((value) => isWeight(value) && !centroids.has(value.name));
  const tables = new Set(components.filter((c) => c.component === 'embeddings').map((c) => c.weight));
  const decoded = [...new Map(codebooks.map((entry) => [entry.weight, entry])).values()];
  const coded = (entries: readonly CodebookEntry[]): number =>
    entries.reduce((sum, { dims: [rows, columns] }) => sum + rows * columns, 0);
  const count = (values: readonly Value[]): number => values.reduce((sum, value) => sum + value.constant!.size, 0);
  const sparsity = parameters
    .map((value) => [value.name, shareOfZeros(value.constant!)] as const)
    .filter(([, share]) => share > 0);
  return {
    parameters: {
      total: count(parameters) + coded(decoded),
      embeddings:
        count(parameters.filter(({ name }) => tables.has(name))) +
        coded(decoded.filter(({ component }) => component === 'embeddings')),
    },
    sparsity: Object.fromEntries(sparsity),
  };
}

/** Whether a value holds weights: a float of rank 1 or more, or a quantized matrix. */
export function isWeight({ constant }: Value): boolean {
  if (!constant) return false;
  return isFloat(constant.dtype) ? constant.dims.length > 0 : isQuantizedMatrix(constant);
}

const isQuantizedMatrix = ({ dtype, dims }: Tensor): boolean =>
  dims.length > 1 && (dtype === 'int8' || dtype === 'uint8' || dtype === 'int4' || dtype === 'uint4');

/** Of float32 matrices; vectors and other types count as dense. */
function shareOfZeros(tensor: Tensor): number {
  if (!tensor.is('float32') || tensor.dims.length < 2 || tensor.size === 0) return 0;
  const { data } = tensor;
  let zeros = 0;
  for (let i = 0; i < data.length; i++) if (data[i] === 0) zeros++;
  return zeros / tensor.size;
}

/** The manifest of the same model after its weights or shape have changed. */
export function refreshManifest(manifest: Manifest, model: Model, changes: Partial<Manifest> = {}): Manifest {
  const changed = { ...manifest, ...changes };
  return { ...changed, ...weightFacts(model, changed.components, changed.codebooks) };
}
