/** @file The matrices of one layer without the neurons that go. */
import type { Component, ComponentEntry } from '../bundle/manifest';
import { Tensor } from '../graph';
import type { Activation, LayerSizes } from '../models';
import { ACTIVATION_VALUES } from './activation-values';
import type { HeadSlot } from './head-slots';
import { slice } from './slice';

export type LayerComponents = Partial<Record<Component, ComponentEntry>>;

export const componentsOf = (entries: readonly ComponentEntry[], layer: number): LayerComponents =>
  Object.fromEntries(entries.filter((entry) => entry.layer === layer).map((entry) => [entry.component, entry]));

/** What stays of a layer, as columns of its matrices. */
export interface LayerCut {
  readonly slots: readonly HeadSlot[];
  readonly ffn: readonly number[];
  /** Columns of W_AO and of W_O; absent: all. Their biases stay whole. */
  readonly attentionOutputs?: readonly number[];
  readonly ffnOutputs?: readonly number[];
}

/**
 * Replaces the layer's tensors in the map by their sliced versions.
 * @param sizes of the layer before
 */
export function shrinkLayer(
  tensors: Map<string, Tensor>,
  components: LayerComponents,
  sizes: LayerSizes,
  { slots, ffn, attentionOutputs, ffnOutputs }: LayerCut,
  activation: Activation,
): void {
  const queries = slots.flatMap((slot) => slot.query);
  const values = slots.flatMap((slot) => slot.value);
  const { W_Q, W_K, W_V, W_AO, W_I, W_O } = components;
  if (W_V && W_AO) foldConstants(tensors, W_V, W_AO, values, (bias) => bias, sizes.attentionOutputs);
  if (W_I && W_O) foldConstants(tensors, W_I, W_O, ffn, ACTIVATION_VALUES[activation], sizes.ffnOutputs);
  for (const entry of [W_Q, W_K]) if (entry) keepOutputs(tensors, entry, queries);
  if (W_V) keepOutputs(tensors, W_V, values);
  if (W_AO) keep(tensors, W_AO.weight, values, attentionOutputs);
  if (W_I) keepOutputs(tensors, W_I, ffn);
  if (W_O) keep(tensors, W_O.weight, ffn, ffnOutputs);
}

/**
 * Adds what removed neurons with zero weights but a bias give to every position: bias' += act(b_n) W'[n].
 * @param written what the columns of the next matrix write; absent: column j writes dimension j
 */
function foldConstants(
  tensors: Map<string, Tensor>,
  from: ComponentEntry,
  to: ComponentEntry,
  keptNeurons: readonly number[],
  activate: (bias: number) => number,
  written: readonly number[] | undefined,
): void {
  const [weight, bias] = [read(tensors, from.weight), read(tensors, from.bias)];
  const [next, nextBias] = [read(tensors, to.weight), read(tensors, to.bias)];
  if (!weight || !bias || !next || !nextBias) return;
  const [rows, columns] = weight.dims;
  const outputs = next.dims[1];
  const kept = new Set(keptNeurons);
  const folded = Float32Array.from(nextBias.data);
  for (let n = 0; n < columns; n++) {
    if (kept.has(n) || bias.data[n] === 0 || !columnIsZero(weight.data, rows, columns, n)) continue;
    const constant = activate(bias.data[n]);
    for (let j = 0; j < outputs; j++) folded[written ? written[j] : j] += constant * next.data[n * outputs + j];
  }
  tensors.set(to.bias!, Tensor.float32(nextBias.dims, folded));
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

/** Keeps columns of a weight and entries of its bias; -1 becomes zeros. */
function keepOutputs(tensors: Map<string, Tensor>, { weight, bias }: ComponentEntry, kept: readonly number[]): void {
  keep(tensors, weight, undefined, kept);
  keep(tensors, bias, undefined, kept);
}

function keep(
  tensors: Map<string, Tensor>,
  name: string | undefined,
  rows: readonly number[] | undefined,
  columns: readonly number[] | undefined,
): void {
  const elements = read(tensors, name);
  if (elements) tensors.set(name!, slice(elements, rows, columns));
}
