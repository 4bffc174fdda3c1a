/** @file Masks on parameters that silence neurons, so that a model trains as if they were gone already. */
import type { Component, ComponentEntry, Structure } from '../bundle/manifest';
import type { KeepPlan } from './neurons';

/**
 * By parameter, 1 = kept: columns and bias entries of W_Q, W_K (query dimensions), W_V (value dimensions) and W_I (FFN
 * neurons). Their activations are then exactly zero, so the rows of W_AO and W_O that read them need no mask.
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
    const sizes = layer === undefined ? undefined : structure.layers[layer];
    if (!keep || !sizes) continue;
    const columns =
      component === 'W_Q' || component === 'W_K'
        ? perHead(sizes.queryDims, keep.queryDims)
        : component === 'W_V'
          ? perHead(sizes.valueDims, keep.valueDims)
          : component === 'W_I'
            ? marks(sizes.ffn, keep.ffn)
            : undefined;
    if (!columns || columns.every(Boolean)) continue;
    masks.set(weight, repeatRows(columns, structure.hidden));
    if (bias !== undefined) masks.set(bias, columns);
  }
  return masks;
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

/** The plan whose masks these are, read from W_Q, W_V and W_I; a parameter without a mask keeps everything. */
export function planFromMasks(
  components: readonly ComponentEntry[],
  structure: Structure,
  maskOf: (name: string) => Uint8Array | undefined,
): KeepPlan {
  const kept = (component: Component, layer: number, size: number): Uint8Array => {
    const entry = components.find((candidate) => candidate.component === component && candidate.layer === layer);
    return (entry && maskOf(entry.weight)?.subarray(0, size)) ?? new Uint8Array(size).fill(1);
  };
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
      return {
        queryDims: perHeadIndices(queryDims, 'W_Q'),
        valueDims: perHeadIndices(valueDims, 'W_V'),
        ffn: indices(kept('W_I', layer, ffn)),
      };
    }),
  };
}
