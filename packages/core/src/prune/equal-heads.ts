/** @file Heads of equal sizes, so that nothing is padded: what a global threshold removes is really gone. */
import type { Structure } from '../bundle/manifest';
import { largest } from './neurons';
import type { KeepPlan, LayerKeep, NeuronGroup } from './neurons';

/**
 * Gives every head of a layer the same number of query (and of value) dimensions: as many as the plan keeps on average,
 * rounded, and at least one. How much each layer gives stays the decision of the threshold; which dimensions of a head
 * stay, that of their importance. Kinds without a group keep what the plan says.
 */
export function equalHeads(structure: Structure, plan: KeepPlan, groups: Iterable<NeuronGroup>): KeepPlan {
  const importances = new Map([...groups].map(({ kind, layer, importance }) => [`${kind}/${layer}`, importance]));
  const layers = plan.layers.map((keep, l): LayerKeep | null => {
    if (!keep) return null;
    const { queryDims, valueDims } = structure.layers[l];
    return {
      ...keep,
      queryDims: equal(queryDims, keep.queryDims, importances.get(`query/${l}`)),
      valueDims: equal(valueDims, keep.valueDims, importances.get(`value/${l}`)),
    };
  });
  return { ...plan, layers };
}

function equal(
  sizes: readonly number[],
  kept: LayerKeep['queryDims'],
  importance: Float32Array | undefined,
): LayerKeep['queryDims'] {
  const total = kept.reduce((sum, dims) => sum + dims.length, 0);
  if (!importance || total === 0) return kept;
  const each = Math.max(1, Math.round(total / sizes.filter((size) => size > 0).length));
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return largest(importance.subarray(start - size, start), each).sort((a, b) => a - b);
  });
}
