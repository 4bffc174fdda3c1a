/** @file Structured pruning: which neurons of a transformer stay. Pure arithmetic on importances; no tensors. */
import type { Structure } from '../bundle/manifest';
import { invalid } from '../errors';
import type { MaskScope } from './masks';
import { selectSmallest } from './select';

/**
 * What can be removed so that matrices really shrink:
 * - `query`: a query dimension and the key dimension it is multiplied with (columns of W_Q and W_K);
 * - `value`: a value dimension (a column of W_V and the row of W_AO that reads it);
 * - `ffn`: an intermediate neuron (a column of W_I and a row of W_O);
 * - `head`: a head with all its query, key and value dimensions;
 * - `layer`: a whole layer;
 * - `hidden`: a dimension of the residual stream, in every matrix that reads or writes it;
 * - `attentionOutputs`, `ffnOutputs`: a column of W_AO or W_O, of one layer by itself. Only its bias still reaches the
 *   residual stream, which keeps its width.
 */
export const NEURON_KINDS = [
  'query',
  'value',
  'ffn',
  'head',
  'layer',
  'hidden',
  'attentionOutputs',
  'ffnOutputs',
] as const;
export type NeuronKind = (typeof NEURON_KINDS)[number];

/** The neurons of one kind in one layer, with their importance. Query and value neurons are ordered head by head. */
export interface NeuronGroup {
  readonly kind: NeuronKind;
  /** -1 for `hidden`, which is of no layer. */
  readonly layer: number;
  readonly importance: Float32Array;
}

/** Neurons that stay, as ascending indices into the layer's present neurons. */
export interface LayerKeep {
  /** By head: kept query/key dimensions of the head. */
  readonly queryDims: readonly (readonly number[])[];
  /** By head: kept value dimensions of the head. A head without any is removed. */
  readonly valueDims: readonly (readonly number[])[];
  readonly ffn: readonly number[];
  /** Outputs of W_AO and of W_O; absent: all of them. */
  readonly attentionOutputs?: readonly number[];
  readonly ffnOutputs?: readonly number[];
}

/** What stays of a model. */
export interface KeepPlan {
  /** By layer; null removes the layer. */
  readonly layers: readonly (LayerKeep | null)[];
  /** Residual stream; absent: all of it stays. */
  readonly hidden?: HiddenKeep;
}

/** Dimensions of the residual stream that stay, the same everywhere, as ascending indices. */
export interface HiddenKeep {
  readonly dims: readonly number[];
  /** Kept outputs of the pooler, which is as wide as the stream but has neurons of its own. */
  readonly pooled: readonly number[];
}

/** Share to remove of each kind; kinds without an entry stay whole. */
export type NeuronTargets = Partial<Record<NeuronKind, number>>;

export type OutputKind = Extract<NeuronKind, 'attentionOutputs' | 'ffnOutputs'>;

/** Dimensions of the residual stream that W_AO or W_O of a layer writes now. */
export function outputsOf({ hidden, layers }: Structure, layer: number, kind: OutputKind): readonly number[] {
  const sizes = layers[layer];
  return inputsOf(sizes, kind) === 0 ? [] : (sizes[kind] ?? indices(hidden));
}

/** Rows of W_AO or W_O of a layer. */
export const inputsOf = ({ valueDims, ffn }: Structure['layers'][number], kind: OutputKind): number =>
  kind === 'attentionOutputs' ? sum(valueDims) : ffn;

/** Everything stays. */
export function keepEverything(structure: Structure): KeepPlan {
  return {
    layers: structure.layers.map((layer) => ({
      queryDims: layer.queryDims.map(indices),
      valueDims: layer.valueDims.map(indices),
      ffn: indices(layer.ffn),
    })),
  };
}

export interface SelectOptions {
  /** One threshold over all groups (as far as they are targeted equally), per layer, or per group. */
  readonly scope: MaskScope;
  /** Neurons that every group keeps at least, as a share of the group. */
  readonly floor: number;
}

/**
 * Marks the least important neurons of each targeted kind: floor(n * target) of every scope group, the best
 * `floor` share of each layer's group being protected.
 *
 * Kinds with the same target share their thresholds: a global target of 60 % on query, value and ffn lets the model
 * decide which kind gives how much, as the source does.
 *
 * @returns by group, 1 where the neuron goes.
 */
export function selectNeurons(
  groups: readonly NeuronGroup[],
  targets: NeuronTargets,
  { scope, floor }: SelectOptions,
): Map<NeuronGroup, Uint8Array> {
  const removed = new Map<NeuronGroup, Uint8Array>();
  const together = new Map<string, { target: number; members: NeuronGroup[] }>();
  for (const group of groups) {
    const target = targets[group.kind];
    if (target === undefined) continue;
    const place =
      group.kind === 'hidden'
        ? '/hidden'
        : { global: '', layer: `/${group.layer}`, matrix: `/${group.layer}/${group.kind}` }[scope];
    const key = `${target}${place}`;
    const entry = together.get(key) ?? { target, members: [] };
    entry.members.push(group);
    together.set(key, entry);
  }
  for (const { target, members } of together.values()) {
    const total = members.reduce((sum, group) => sum + group.importance.length, 0);
    const count = Math.floor(total * target);
    const scores = members.map((group) => protectBest(group.importance, Math.ceil(group.importance.length * floor)));
    const removable = scores.reduce((sum, array) => sum + array.filter(Number.isFinite).length, 0);
    if (count > removable) {
      throw invalid(
        'prune.target-unreachable',
        `A target of ${target} would remove ${count} of ${total} neurons, but the floor of ${floor} leaves only ${removable} removable.`,
      );
    }
    const { selected } = selectSmallest(scores, count);
    members.forEach((group, i) => removed.set(group, selected[i]));
  }
  return removed;
}

/**
 * The plan that keeps what `removed` does not mark.
 * @param pooler importance of the pooler's outputs; as many of the best stay as there are hidden dimensions left
 */
export function keepPlan(
  structure: Structure,
  removed: ReadonlyMap<NeuronGroup, Uint8Array>,
  pooler?: Float32Array,
): KeepPlan {
  const marks = (kind: NeuronKind, layer: number): Uint8Array | undefined => {
    for (const [group, mask] of removed) if (group.kind === kind && group.layer === layer) return mask;
    return undefined;
  };
  const gone = marks('hidden', -1);
  const dims = indices(structure.hidden).filter((i) => !gone?.[i]);
  const pooled = pooler ? largest(pooler, dims.length).toSorted((a, b) => a - b) : dims;
  return {
    ...(gone && { hidden: { dims, pooled } }),
    layers: structure.layers.map((layer, l) => {
      if (marks('layer', l)?.[0]) return null;
      const heads = marks('head', l);
      const perHead = (sizes: readonly number[], kind: 'query' | 'value'): number[][] => {
        const mask = marks(kind, l);
        let start = 0;
        return sizes.map((size, head) => {
          const first = start;
          start += size;
          return heads?.[head] ? [] : indices(size).filter((i) => !mask?.[first + i]);
        });
      };
      const written = (kind: OutputKind): Partial<LayerKeep> => {
        const mask = marks(kind, l);
        return mask ? { [kind]: indices(mask.length).filter((i) => !mask[i]) } : {};
      };
      return {
        queryDims: perHead(layer.queryDims, 'query'),
        valueDims: perHead(layer.valueDims, 'value'),
        ffn: indices(layer.ffn).filter((i) => !marks('ffn', l)?.[i]),
        ...written('attentionOutputs'),
        ...written('ffnOutputs'),
      };
    }),
  };
}

/** Neurons of a layer, of which a plan may remove a share. */
export type LayerKind = 'query' | 'value' | 'ffn' | OutputKind;

/** Share of the neurons of each kind that a plan removes, by layer: the heat map of the report. */
export function removedShare(structure: Structure, plan: KeepPlan): Record<LayerKind, number>[] {
  const share = (kept: number, all: number): number => (all === 0 ? 0 : 1 - kept / all);
  return structure.layers.map((layer, l) => {
    const keep = plan.layers[l];
    const count = (dims: readonly (readonly number[])[] | undefined): number => sum((dims ?? []).map((d) => d.length));
    const written = (kind: OutputKind): number => {
      const all = outputsOf(structure, l, kind).length;
      return share(keep ? (keep[kind]?.length ?? all) : 0, all);
    };
    return {
      query: share(count(keep?.queryDims), sum(layer.queryDims)),
      value: share(count(keep?.valueDims), sum(layer.valueDims)),
      ffn: share(keep?.ffn.length ?? 0, layer.ffn),
      attentionOutputs: written('attentionOutputs'),
      ffnOutputs: written('ffnOutputs'),
    };
  });
}

/** The importance with its `count` largest entries raised to Infinity, out of reach of any selection. */
function protectBest(importance: Float32Array, count: number): Float32Array {
  if (count === 0) return importance;
  const scores = Float32Array.from(importance);
  for (const index of largest(importance, count)) scores[index] = Infinity;
  return scores;
}

/** Indices of the `count` largest, the largest first. */
export const largest = (importance: Float32Array, count: number): number[] =>
  indices(importance.length)
    .sort((a, b) => importance[b] - importance[a] || a - b)
    .slice(0, count);

const indices = (size: number): number[] => Array.from({ length: size }, (_, i) => i);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
