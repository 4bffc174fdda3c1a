/** @file Masks on parameters that silence neurons, so that a model trains as if they were gone already. */
import type { Bundle } from '../bundle';
import type { Component, ComponentEntry, Structure } from '../bundle/manifest';
import { hiddenNormParameters } from '../models';
import { inputsOf, outputsOf } from './neurons';
import type { HiddenKeep, KeepPlan, LayerKeep, OutputKind } from './neurons';

/**
 * By parameter, 1 = kept: columns and bias entries of W_Q, W_K (query dimensions), W_V (value dimensions) and W_I (FFN
 * neurons). Their activations are then exactly zero, so the rows of W_AO and W_O that read them need no mask. Removed
 * outputs of W_AO and W_O lose their columns and keep their biases.
 * Layers that the plan removes as a whole have no equal mask and stay untouched.
 */
export function neuronMasks(
  components: readonly ComponentEntry[],
  structure: Structure,
  plan: KeepPlan,
): Map<string, Uint8Array> {
  const masks = new Map<string, Uint8Array>();
  for (const { component, layer, weight, bias } of components) {
    const keep = layer === undefined ? undefined : plan.layers[layer];
    if (layer === undefined || !keep) continue;
    const columns = keptColumns(component, structure, layer, keep);
    if (!columns || columns.every(Boolean)) continue;
    const kind = WRITES[component];
    masks.set(weight, repeatRows(columns, kind ? inputsOf(structure.layers[layer], kind) : structure.hidden));
    if (bias !== undefined && !kind) masks.set(bias, columns);
  }
  return masks;
}

/** The components that write the residual stream. */
const WRITES: Partial<Record<Component, OutputKind>> = { W_AO: 'attentionOutputs', W_O: 'ffnOutputs' };

/** By column of a matrix, 1 = kept; undefined where all are. */
function keptColumns(
  component: Component,
  structure: Structure,
  layer: number,
  keep: LayerKeep,
): Uint8Array | undefined {
  const { queryDims, valueDims, ffn } = structure.layers[layer];
  if (component === 'W_Q' || component === 'W_K') return perHead(queryDims, keep.queryDims);
  if (component === 'W_V') return perHead(valueDims, keep.valueDims);
  if (component === 'W_I') return marks(ffn, keep.ffn);
  const kind = WRITES[component];
  const written = kind && keep[kind];
  return written && marks(outputsOf(structure, layer, kind).length, written);
}

function perHead(sizes: readonly number[], kept: readonly (readonly number[])[]): Uint8Array {
  return Uint8Array.from(sizes.flatMap((size, head) => [...marks(size, kept[head])]));
}

function marks(size: number, kept: readonly number[]): Uint8Array {
  const mask = new Uint8Array(size);
  for (const index of kept) mask[index] = 1;
  return mask;
}

function repeatRows(row: Uint8Array, count: number): Uint8Array {
  const mask = new Uint8Array(count * row.length);
  for (let i = 0; i < count; i++) mask.set(row, i * row.length);
  return mask;
}

/** The plan whose masks these are, read from W_Q, W_V, W_AO, W_I and W_O; a parameter without a mask keeps everything. */
export function planFromMasks(
  components: readonly ComponentEntry[],
  structure: Structure,
  maskOf: (name: string) => Uint8Array | undefined,
): KeepPlan {
  const masked = (component: Component, layer: number, size: number): Uint8Array | undefined => {
    const entry = components.find((candidate) => candidate.component === component && candidate.layer === layer);
    return entry && maskOf(entry.weight)?.subarray(0, size);
  };
  const kept = (component: Component, layer: number, size: number): Uint8Array =>
    masked(component, layer, size) ?? new Uint8Array(size).fill(1);
  const indices = (mask: Uint8Array): number[] => [...mask.keys()].filter((i) => mask[i] === 1);
  return {
    layers: structure.layers.map(({ queryDims, valueDims, ffn }, layer) => {
      const perHeadIndices = (sizes: readonly number[], component: Component): number[][] => {
        const total = sizes.reduce((sum, size) => sum + size, 0);
        const mask = kept(component, layer, total);
        let start = 0;
        return sizes.map((size) => {
          start += size;
          return indices(mask.subarray(start - size, start));
        });
      };
      const written = (component: 'W_AO' | 'W_O', kind: OutputKind): Partial<LayerKeep> => {
        const mask = masked(component, layer, outputsOf(structure, layer, kind).length);
        return mask ? { [kind]: indices(mask) } : {};
      };
      return {
        queryDims: perHeadIndices(queryDims, 'W_Q'),
        valueDims: perHeadIndices(valueDims, 'W_V'),
        ffn: indices(kept('W_I', layer, ffn)),
        ...written('W_AO', 'attentionOutputs'),
        ...written('W_O', 'ffnOutputs'),
      };
    }),
  };
}

/**
 * By parameter, 1 = kept: what stays of the residual stream. Scales and biases of its normalisations, and columns and
 * bias of the pooler; see `maskHidden` for why nothing else needs a mask.
 */
export function hiddenMasks(
  { model, manifest }: Pick<Bundle, 'model' | 'manifest'>,
  { dims, pooled }: HiddenKeep,
): Map<string, Uint8Array> {
  const { hidden } = manifest.structure!;
  const kept = marks(hidden, dims);
  const masks = new Map<string, Uint8Array>();
  for (const { scale, bias } of hiddenNormParameters(model, hidden)) {
    masks.set(scale, kept);
    masks.set(bias, kept);
  }
  const pooler = poolerOf(manifest.components);
  if (pooler) {
    masks.set(pooler.weight, repeatRows(marks(hidden, pooled), hidden));
    if (pooler.bias !== undefined) masks.set(pooler.bias, marks(hidden, pooled));
  }
  return masks;
}

/** What `hiddenMasks` was made from; undefined where there are none. */
export function hiddenFromMasks(
  { model, manifest }: Pick<Bundle, 'model' | 'manifest'>,
  maskOf: (name: string) => Uint8Array | undefined,
): HiddenKeep | undefined {
  const { hidden } = manifest.structure!;
  const mask = maskOf(hiddenNormParameters(model, hidden)[0].scale);
  if (!mask) return undefined;
  const indices = (marked: Uint8Array): number[] => [...marked.keys()].filter((i) => marked[i] === 1);
  const pooler = poolerOf(manifest.components);
  const pooled = pooler && maskOf(pooler.weight)?.subarray(0, hidden);
  return { dims: indices(mask), pooled: indices(pooled ?? mask) };
}

/** The dense layer that is as wide as the residual stream, on its way out of it. */
export const poolerOf = (components: readonly ComponentEntry[]): ComponentEntry | undefined =>
  components.find(({ component }) => component === 'W_P');
