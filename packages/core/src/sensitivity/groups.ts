/** @file Which weights are compressed, or left alone, together. */
import type { ComponentEntry } from '../bundle/manifest';
import type { Model } from '../graph';

/** Weights that share a fate. */
export interface WeightGroup {
  /** `layer 3`, `W_O`, `layer 3 W_O`, or a weight's own name where its role is unknown. */
  readonly name: string;
  readonly layer?: number;
  readonly component?: string;
  /** Initializers. */
  readonly weights: readonly string[];
}

/** Float matrices (rank 2 and more) of a model that another one, made from a clone of it, does not have any more. */
export function changedWeights(original: Model, changed: Model): string[] {
  return original.graph.initializers
    .filter(({ name, constant }) => {
      if (!constant?.is('float32') || constant.dims.length < 2) return false;
      return changed.graph.values.get(name)?.constant !== constant;
    })
    .map(({ name }) => name);
}

/** One group for each transformer layer. */
export const layerGroups = (weights: readonly string[], entries: readonly ComponentEntry[]): WeightGroup[] =>
  grouped(weights, entries, ({ layer }) =>
    layer === undefined ? undefined : { name: `layer ${layer}`, layer },
  ).filter(({ layer }) => layer !== undefined);

/** One group for each component, over all layers; weights without a role by themselves. */
export const componentGroups = (weights: readonly string[], entries: readonly ComponentEntry[]): WeightGroup[] =>
  grouped(weights, entries, ({ component }) => ({ name: component, component }));

/** One group for each component of each layer; what lies outside layers by component. */
export const cellGroups = (weights: readonly string[], entries: readonly ComponentEntry[]): WeightGroup[] =>
  grouped(weights, entries, ({ component, layer }) =>
    layer === undefined ? { name: component, component } : { name: `layer ${layer} ${component}`, layer, component },
  );

type Label = Omit<WeightGroup, 'weights'>;

function grouped(
  weights: readonly string[],
  entries: readonly ComponentEntry[],
  labelOf: (entry: ComponentEntry) => Label | undefined,
): WeightGroup[] {
  const byWeight = new Map(entries.map((entry) => [entry.weight, entry]));
  const groups = new Map<string, Label & { weights: string[] }>();
  for (const weight of weights) {
    const entry = byWeight.get(weight);
    const label = (entry && labelOf(entry)) ?? { name: weight };
    const group = groups.get(label.name) ?? { ...label, weights: [] };
    group.weights.push(weight);
    groups.set(label.name, group);
  }
  return [...groups.values()];
}
