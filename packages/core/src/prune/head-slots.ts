/** @file How the heads of a layer are laid out after pruning. */
import type { LayerSizes } from '../models';
import type { LayerKeep } from './neurons';

/** How heads of unequal sizes in one layer are laid out. */
export type HeadLayout =
  /** Heads of a layer are padded with zeros to its largest: one batched product for all. */
  | 'padded'
  /** Every head at its own size: least arithmetic, one product for each run of equal heads. */
  | 'exact';

/** One head as it will be: source columns of W_Q/W_K and W_V, -1 where a padding column of zeros goes. */
export interface HeadSlot {
  readonly query: readonly number[];
  readonly value: readonly number[];
}

/** Heads that keep a value dimension; the others contribute nothing. */
export function headSlots(sizes: LayerSizes, keep: LayerKeep, layout: HeadLayout): HeadSlot[] {
  const starts = (dims: readonly number[]): number[] => dims.map((_, h) => dims.slice(0, h).reduce((a, b) => a + b, 0));
  const [queryStarts, valueStarts] = [starts(sizes.queryDims), starts(sizes.valueDims)];
  const slots = sizes.valueDims.flatMap((_, h): HeadSlot[] => {
    const value = keep.valueDims[h].map((i) => valueStarts[h] + i);
    const query = keep.queryDims[h].map((i) => queryStarts[h] + i);
    return value.length > 0 ? [{ query, value }] : [];
  });
  if (layout === 'exact') return slots;
  const widest = (part: keyof HeadSlot): number => Math.max(0, ...slots.map((slot) => slot[part].length));
  const pad = (columns: readonly number[], width: number): number[] => [
    ...columns,
    ...Array.from({ length: width - columns.length }, () => -1),
  ];
  const [queryWidth, valueWidth] = [widest('query'), widest('value')];
  return slots.map((slot) => ({ query: pad(slot.query, queryWidth), value: pad(slot.value, valueWidth) }));
}

export const sizesOf = (slots: readonly HeadSlot[], ffn: number): LayerSizes => ({
  heads: slots.length,
  queryDims: slots.map((slot) => slot.query.length),
  valueDims: slots.map((slot) => slot.value.length),
  ffn,
});
