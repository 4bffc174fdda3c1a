/** @file One initializer for several layers (as in ALBERT, Lan et al. 2020, arXiv:1909.11942), from their average. */
import type { ComponentEntry } from '../bundle/manifest';
import { invalid } from '../errors';
import { Tensor } from '../graph';
import type { Graph, Value } from '../graph';
import type { LayerSharing } from './config';

/** One matrix that layers share now. */
export interface SharedMatrix {
  readonly component: ComponentEntry['component'];
  readonly layers: readonly number[];
  /** Name of the initializer: that of the first layer. */
  readonly weight: string;
  readonly elements: number;
  /** Mean over the layers of |W_l - average| / |W_l|: how unlike they were. */
  readonly distance: number;
}

/** The groups of a config for a model of `depth` layers; the odd last layer of pairs stays alone. */
export function layerGroups(groups: LayerSharing['groups'], depth: number): readonly (readonly number[])[] {
  if (groups === 'all') return [Array.from({ length: depth }, (_, layer) => layer)];
  if (groups === 'pairs') return Array.from({ length: Math.floor(depth / 2) }, (_, i) => [2 * i, 2 * i + 1]);
  return groups;
}

/**
 * Lets the layers of each group read one initializer, in place.
 * @returns the component map afterwards, in which entries of a group name the same weight, and what is shared
 * @throws invalid `share.group` when a layer of a group has no such matrix or one of another shape
 */
export function shareLayers(
  graph: Graph,
  components: readonly ComponentEntry[],
  sharing: LayerSharing,
  depth: number,
): { components: ComponentEntry[]; shared: SharedMatrix[] } {
  const shared: SharedMatrix[] = [];
  const owner = new Map<ComponentEntry, string>();
  for (const layers of layerGroups(sharing.groups, depth)) {
    for (const component of sharing.components) {
      const entries = layers.map((layer) => entryOf(components, component, layer));
      shared.push({ component, layers, ...unite(graph, entries) });
      for (const entry of entries) owner.set(entry, entries[0].weight);
    }
  }
  const updated = components.map((entry) => ({ ...entry, weight: owner.get(entry) ?? entry.weight }));
  return { components: updated, shared };
}

function entryOf(
  components: readonly ComponentEntry[],
  component: ComponentEntry['component'],
  layer: number,
): ComponentEntry {
  const found = components.find((entry) => entry.component === component && entry.layer === layer && !entry.factor);
  if (found) return found;
  throw invalid('share.group', `Layer ${layer} has no ${component} that could be shared.`, { field: 'share.groups' });
}

function unite(
  graph: Graph,
  entries: readonly ComponentEntry[],
): Pick<SharedMatrix, 'weight' | 'elements' | 'distance'> {
  const values = [...new Set(entries.map(({ weight }) => graph.value(weight)))];
  const tensors = values.map((value) => floatTensor(value));
  const [first] = tensors;
  entries.forEach((entry, i) => requireSame(entries[0], entry, first, tensors[Math.min(i, tensors.length - 1)]));
  const average = new Float32Array(first.size);
  for (const { data } of tensors) for (let i = 0; i < average.length; i++) average[i] += data[i] / tensors.length;
  const distance = tensors.reduce((sum, { data }) => sum + relativeDistance(data, average), 0) / tensors.length;
  const [kept, ...others] = values;
  kept.constant = Tensor.float32(first.dims, average);
  for (const value of others) {
    graph.replaceAllUses(value, kept);
    graph.removeValue(value);
  }
  return { weight: kept.name, elements: first.size, distance };
}

function floatTensor({ name, constant }: Value): Tensor<'float32'> {
  if (constant?.is('float32')) return constant;
  throw invalid('share.dtype', `"${name}" is ${constant?.dtype ?? 'computed'}: only float32 matrices can be shared.`);
}

function requireSame(first: ComponentEntry, other: ComponentEntry, a: Tensor, b: Tensor): void {
  const isSame = a.dims.join() === b.dims.join() && (first.transposed ?? false) === (other.transposed ?? false);
  if (isSame) return;
  throw invalid(
    'share.group',
    `Layers ${first.layer} and ${other.layer} cannot share ${first.component}: it is ${a.dims.join(' x ')} in one and ${b.dims.join(' x ')} in the other.`,
    { field: 'share.groups' },
  );
}

function relativeDistance(data: Float32Array, average: Float32Array): number {
  let [difference, total] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    difference += (data[i] - average[i]) ** 2;
    total += data[i] ** 2;
  }
  return total === 0 ? 0 : Math.sqrt(difference / total);
}
