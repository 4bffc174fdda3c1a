/**
 * @file Physical removal: a transformer with fewer neurons, heads and layers, equal to the masked one.
 *
 * Cross-pruning takes both sides of each removed neuron: a column of W_I with a row of W_O, a column of W_V with a row
 * of W_AO, a column of W_Q with the same column of W_K, a hidden dimension from everything that reads or writes the
 * residual stream. The graph is then built anew at its real sizes. Only outputs of W_AO and W_O that go in one layer
 * alone are put back at run time (`models/inflate.ts`): other layers write what they do not.
 */
import type { Bundle } from '../bundle/bundle';
import { refreshManifest } from '../bundle/describe';
import { invalid } from '../errors';
import { buildTransformer, headOf, structureOf, transformerConfigOf } from '../models';
import type { LayerSizes, TransformerConfig, WeightSource } from '../models';
import { headSlots, sizesOf } from './head-slots';
import type { HeadLayout } from './head-slots';
import { keepHidden } from './keep-hidden';
import { outputsOf } from './neurons';
import type { KeepPlan, LayerKeep, OutputKind } from './neurons';
import { componentsOf, shrinkLayer } from './shrink-layer';

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
  const layers = kept.map(({ keep, layer }): LayerSizes => {
    const sizes = config.layers[layer];
    const [attention, ffn] = (['attentionOutputs', 'ffnOutputs'] as const).map((kind) =>
      writtenAfter(config, plan, keep, layer, kind),
    );
    // A matrix without outputs leaves its bias, as one without inputs does.
    const slots = attention?.dims.length === 0 ? [] : headSlots(sizes, keep, heads);
    const neurons = ffn?.dims.length === 0 ? [] : keep.ffn;
    const cut = {
      slots,
      ffn: neurons,
      ...(attention && { attentionOutputs: attention.columns }),
      ...(ffn && { ffnOutputs: ffn.columns }),
    };
    shrinkLayer(tensors, componentsOf(manifest.components, layer), sizes, cut, config.activation);
    return {
      ...sizesOf(slots, neurons.length),
      ...(attention && slots.length > 0 && { attentionOutputs: [...attention.dims] }),
      ...(ffn && neurons.length > 0 && { ffnOutputs: [...ffn.dims] }),
    };
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
  const narrow = { ...config, layers };
  const head = headOf(bundle);
  const smaller = plan.hidden ? withoutHidden(narrow, plan.hidden.dims) : narrow;
  const built = buildTransformer(smaller, head, plan.hidden ? keepHidden(source, narrow, head, plan.hidden) : source);
  const changes = { components: [...built.components], structure: structureOf(smaller) };
  return { ...bundle, model: built.model, manifest: refreshManifest(manifest, built.model, changes) };
}

/** `encoder.layer.3.`, `transformer.layer.3.` or `h.3.` */
const LAYER_INDEX = /(\.layer\.|\bh\.)(\d+)\./;

/**
 * What W_AO or W_O of a layer goes on writing: columns of the matrix, and dimensions of the residual stream as it was.
 * Undefined where it goes on writing all of them.
 */
function writtenAfter(
  config: TransformerConfig,
  { hidden }: KeepPlan,
  keep: LayerKeep,
  layer: number,
  kind: OutputKind,
): { readonly columns: readonly number[]; readonly dims: readonly number[] } | undefined {
  if (!keep[kind] && !config.layers[layer][kind]) return undefined;
  const present = outputsOf(structureOf(config), layer, kind);
  const stays = hidden && new Set(hidden.dims);
  const columns = (keep[kind] ?? [...present.keys()]).filter((column) => !stays || stays.has(present[column]));
  return columns.length === config.hidden ? undefined : { columns, dims: columns.map((column) => present[column]) };
}

/** Sizes of a model that keeps these hidden dimensions, under their new numbers. */
function withoutHidden(config: TransformerConfig, dims: readonly number[]): TransformerConfig {
  const numbers = new Map(dims.map((dim, number) => [dim, number]));
  const written = (kind: OutputKind, old: readonly number[] | undefined): Partial<LayerSizes> =>
    old && old.length < dims.length ? { [kind]: old.map((dim) => numbers.get(dim)!) } : {};
  const renumbered = ({ attentionOutputs, ffnOutputs, ...sizes }: LayerSizes): LayerSizes => ({
    ...sizes,
    ...written('attentionOutputs', attentionOutputs),
    ...written('ffnOutputs', ffnOutputs),
  });
  return { ...config, hidden: dims.length, layers: config.layers.map(renumbered) };
}
