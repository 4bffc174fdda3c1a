/**
 * @file Physical removal: a transformer with fewer neurons, heads and layers, equal to the masked one.
 *
 * Cross-pruning takes both sides of each removed neuron: a column of W_I with a row of W_O, a column of W_V with a row
 * of W_AO, a column of W_Q with the same column of W_K, a hidden dimension from everything that reads or writes the
 * residual stream. The graph is then built anew at its real sizes, so nothing is left to re-inflate at run time.
 */
import type { Bundle } from '../bundle/bundle';
import { refreshManifest } from '../bundle/describe';
import type { Component, ComponentEntry } from '../bundle/manifest';
import { invalid } from '../errors';
import { Tensor } from '../graph';
import { buildTransformer, headOf, structureOf, transformerConfigOf } from '../models';
import type { Activation, LayerSizes, WeightSource } from '../models';
import { keepHidden } from './keep-hidden';
import { ACTIVATION_VALUES } from './activation-values';
import type { KeepPlan, LayerKeep } from './neurons';

/** How heads of unequal sizes in one layer are laid out. */
export type HeadLayout =
  /** Heads of a layer are padded with zeros to its largest: one batched product for all. */
  | 'padded'
  /** Every head at its own size: least arithmetic, one product for each run of equal heads. */
  | 'exact';

export interface ShrinkOptions {
  readonly heads: HeadLayout;
}

/**
 * Builds the bundle that keeps only what the plan keeps.
 *
 * Removed neurons must be masked (their weight columns zero). What their biases still say is folded into the next
 * bias: a constant FFN activation act(b) adds act(b) W_O, a constant value b adds b W_AO, because attention weights sum
 * to one. Outputs therefore equal those of the masked model up to float rounding. A removed layer is the exception: no
 * mask equals it, because the layer's normalisation goes too. Hidden dimensions are masked as `maskHidden` does it.
 *
 * @throws unsupported `export.architecture` when no builder made the model; invalid `prune.plan` when the plan does
 *   not fit it.
 */
export function shrink(bundle: Bundle, plan: KeepPlan, { heads }: ShrinkOptions = { heads: 'padded' }): Bundle {
  const { manifest, model } = bundle;
  const config = transformerConfigOf(bundle);
  if (plan.layers.length !== config.layers.length) {
    throw invalid('prune.plan', `The plan has ${plan.layers.length} layers, the model ${config.layers.length}.`);
  }
  const kept = plan.layers.flatMap((keep, layer) => (keep ? [{ keep, layer }] : []));
  const tensors = new Map(model.graph.initializers.map((value) => [value.name, value.constant!] as const));
  const sizes = kept.map(({ keep, layer }) => {
    const slots = headSlots(config.layers[layer], keep, heads);
    shrinkLayer(tensors, componentsOf(manifest.components, layer), slots, keep.ffn, config.activation);
    return sizesOf(slots, keep.ffn.length);
  });

  const source: WeightSource = (name) => {
    const original = name.replace(
      LAYER_INDEX,
      (_, before: string, index: string) => `${before}${kept[Number(index)].layer}.`,
    );
    const tensor = tensors.get(original);
    if (!tensor) throw invalid('prune.plan', `The model has no parameter "${original}".`);
    return tensor;
  };
  const narrow = { ...config, layers: sizes };
  const smaller = plan.hidden ? { ...narrow, hidden: plan.hidden.dims.length } : narrow;
  const head = headOf(bundle);
  const built = buildTransformer(smaller, head, plan.hidden ? keepHidden(source, narrow, head, plan.hidden) : source);
  const changes = { components: [...built.components], structure: structureOf(smaller) };
  return { ...bundle, model: built.model, manifest: refreshManifest(manifest, built.model, changes) };
}

/** `encoder.layer.3.`, `transformer.layer.3.` or `h.3.` */
const LAYER_INDEX = /(\.layer\.|\bh\.)(\d+)\./;

/** One head as it will be: source columns of W_Q/W_K and W_V, -1 where a padding column of zeros goes. */
interface HeadSlot {
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

type LayerComponents = Partial<Record<Component, ComponentEntry>>;

function componentsOf(entries: readonly ComponentEntry[], layer: number): LayerComponents {
  return Object.fromEntries(entries.filter((entry) => entry.layer === layer).map((entry) => [entry.component, entry]));
}

/** Replaces the layer's tensors in the map by their sliced versions. */
export function shrinkLayer(
  tensors: Map<string, Tensor>,
  components: LayerComponents,
  slots: readonly HeadSlot[],
  ffn: readonly number[],
  activation: Activation,
): void {
  const queries = slots.flatMap((slot) => slot.query);
  const values = slots.flatMap((slot) => slot.value);
  const { W_Q, W_K, W_V, W_AO, W_I, W_O } = components;
  if (W_V && W_AO) foldConstants(tensors, W_V, W_AO, values, (bias) => bias);
  if (W_I && W_O) foldConstants(tensors, W_I, W_O, ffn, ACTIVATION_VALUES[activation]);
  for (const entry of [W_Q, W_K]) if (entry) keepOutputs(tensors, entry, queries);
  if (W_V) keepOutputs(tensors, W_V, values);
  if (W_AO) keepInputs(tensors, W_AO, values);
  if (W_I) keepOutputs(tensors, W_I, ffn);
  if (W_O) keepInputs(tensors, W_O, ffn);
}

/** Adds what removed neurons with zero weights but a bias give to every position: bias' += act(b_n) W'[n]. */
function foldConstants(
  tensors: Map<string, Tensor>,
  from: ComponentEntry,
  to: ComponentEntry,
  keptNeurons: readonly number[],
  activate: (bias: number) => number,
): void {
  const [weight, bias] = [read(tensors, from.weight), read(tensors, from.bias)];
  const [next, nextBias] = [read(tensors, to.weight), read(tensors, to.bias)];
  if (!weight || !bias || !next || !nextBias) return;
  const [rows, columns] = weight.dims;
  const kept = new Set(keptNeurons);
  const outputs = nextBias.data.length;
  const folded = Float32Array.from(nextBias.data);
  for (let n = 0; n < columns; n++) {
    if (kept.has(n) || bias.data[n] === 0 || !columnIsZero(weight.data, rows, columns, n)) continue;
    const constant = activate(bias.data[n]);
    for (let j = 0; j < outputs; j++) folded[j] += constant * next.data[n * outputs + j];
  }
  tensors.set(to.bias!, Tensor.float32([outputs], folded));
}

function columnIsZero(data: Float32Array, rows: number, columns: number, column: number): boolean {
  for (let row = 0; row < rows; row++) if (data[row * columns + column] !== 0) return false;
  return true;
}

/** A tensor's elements, taken out once: each access to `Tensor.data` may copy them. */
interface Elements {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

function read(tensors: ReadonlyMap<string, Tensor>, name: string | undefined): Elements | undefined {
  const tensor = name === undefined ? undefined : tensors.get(name);
  return tensor?.is('float32') ? { dims: tensor.dims, data: tensor.data } : undefined;
}

/** Keeps columns of a weight and entries of its bias, in the given order; -1 becomes zeros. */
function keepOutputs(tensors: Map<string, Tensor>, entry: ComponentEntry, kept: readonly number[]): void {
  const weight = read(tensors, entry.weight)!;
  const [rows, columns] = weight.dims;
  const sliced = new Float32Array(rows * kept.length);
  for (let row = 0; row < rows; row++) {
    kept.forEach((column, j) => {
      if (column >= 0) sliced[row * kept.length + j] = weight.data[row * columns + column];
    });
  }
  tensors.set(entry.weight, Tensor.float32([rows, kept.length], sliced));
  const bias = read(tensors, entry.bias);
  if (bias)
    tensors.set(
      entry.bias!,
      Tensor.float32(
        [kept.length],
        kept.map((n) => (n < 0 ? 0 : bias.data[n])),
      ),
    );
}

/** Keeps rows of a weight, in the given order; -1 becomes zeros. */
function keepInputs(tensors: Map<string, Tensor>, entry: ComponentEntry, kept: readonly number[]): void {
  const weight = read(tensors, entry.weight)!;
  const columns = weight.dims[1];
  const sliced = new Float32Array(kept.length * columns);
  kept.forEach((row, i) => {
    if (row >= 0) sliced.set(weight.data.subarray(row * columns, (row + 1) * columns), i * columns);
  });
  tensors.set(entry.weight, Tensor.float32([kept.length, columns], sliced));
}
