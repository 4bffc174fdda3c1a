import fc from 'fast-check';
import type { Bundle } from '../bundle/bundle';
import { manifestFor } from '../models/import';
import { Tensor } from '../graph';
import type { Model } from '../graph';
import {
  buildTransformer,
  configToHuggingFace,
  freshWeights,
  headFor,
  hiddenMaskFeeds,
  maskHidden,
  transformerConfig,
} from '../models';
import type { TransformerArchitecture } from '../models';
import type { HostTensor } from '../runtime/runtime';
import { ortRuntime } from '../runtime';
import { hiddenMasks, neuronMasks } from './neuron-masks';
import { keepEverything } from './neurons';
import type { KeepPlan, LayerKeep } from './neurons';
import type { HeadLayout } from './head-slots';
import { shrink } from './shrink';

const LABELS = ['a', 'b', 'c'];

function bundle(
  architecture: TransformerArchitecture,
  task: 'classification' | 'masked-lm' = 'classification',
): Bundle {
  const labels = task === 'classification' ? LABELS : [];
  const config = transformerConfig(architecture, {
    layers: 2,
    hidden: 12,
    heads: 3,
    ffn: 10,
    vocabulary: 20,
    maxLength: 12,
  });
  const built = buildTransformer(config, headFor(task, labels.length), perturbed(freshWeights(5, 0.4)));
  const manifest = manifestFor(built, {
    name: 'tiny',
    architecture,
    task,
    maxLength: 12,
    config: configToHuggingFace({}, config, task, labels),
    provenance: [],
  });
  return { model: built.model, manifest, labels, tokenizerFiles: new Map() };
}

/** Fresh weights with biases that are not zero, so that a forgotten one shows. */
const perturbed =
  (source: ReturnType<typeof freshWeights>): ReturnType<typeof freshWeights> =>
  (name, dims, role) =>
    role === 'bias' ? source(name, dims, 'matrix') : source(name, dims, role);

async function logits({ model, manifest }: Bundle, more: Record<string, HostTensor> = {}): Promise<number[]> {
  const rows = [
    [4, 5, 9, 11, 3],
    [4, 7, 3, 1, 1],
  ];
  const tensor = (value: (id: number, row: number, at: number) => number) => ({
    dtype: 'int64' as const,
    dims: [2, 5],
    data: BigInt64Array.from(rows.flatMap((ids, r) => ids.map((id, i) => BigInt(value(id, r, i))))),
  });
  const feeds = {
    input_ids: tensor((id) => id),
    attention_mask: tensor((_, row, at) => Number(row === 0 || at < 3)),
    token_type_ids: tensor(() => 0),
  };
  const executable = await ortRuntime.compile(model, { threads: 1 });
  const result = await executable.run({
    ...Object.fromEntries(manifest.inputs.map((name) => [name, feeds[name as keyof typeof feeds]])),
    ...more,
  });
  await executable.release();
  return [...(result.logits.data as Float32Array)];
}

/** Clears what the masks remove, in place; biases only on request. */
function applyMasks(model: Model, masks: ReadonlyMap<string, Uint8Array>, biases: boolean): void {
  for (const [name, mask] of masks) {
    const value = model.graph.value(name);
    const constant = value.constant!;
    if (constant.dims.length === 1 && !biases) continue;
    const data = constant.data as Float32Array;
    value.constant = Tensor.float32(
      constant.dims,
      data.map((x, i) => x * mask[i]),
    );
  }
}

const subset = (size: number): fc.Arbitrary<number[]> => fc.subarray(Array.from({ length: size }, (_, i) => i));
const heads = fc.tuple(subset(4), subset(4), subset(4));
const layerKeep: fc.Arbitrary<LayerKeep> = fc.record(
  { queryDims: heads, valueDims: heads, ffn: subset(10), attentionOutputs: subset(12), ffnOutputs: subset(12) },
  { requiredKeys: ['queryDims', 'valueDims', 'ffn'] },
);
const plans: fc.Arbitrary<KeepPlan> = fc.record({ layers: fc.tuple(layerKeep, layerKeep) });

describe.each(['bert', 'roberta', 'distilbert', 'gpt2'] as const)('shrinking %s', (architecture) => {
  it.each(['padded', 'exact'] as const)(
    'equals the masked model for any plan, heads %s',
    async (layout: HeadLayout) => {
      await fc.assert(
        fc.asyncProperty(plans, fc.boolean(), async (plan, maskBiases) => {
          const masked = bundle(architecture);
          const { components, structure } = masked.manifest;
          // Query biases multiply key weights, so they must go with their column; the others fold.
          const masks = neuronMasks(components, structure!, plan);
          applyMasks(masked.model, masks, maskBiases);
          if (!maskBiases) applyMasks(masked.model, onlyQueryBiases(components, masks), true);
          const shrunk = shrink(masked, plan, { heads: layout });
          const [expected, actual] = [await logits(masked), await logits(shrunk)];
          actual.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 4));
          expect(shrunk.manifest.parameters.total).toBeLessThanOrEqual(masked.manifest.parameters.total);
        }),
        { numRuns: 12 },
      );
    },
  );
});

const HIDDEN = 12;
const indices = Array.from({ length: HIDDEN }, (_, i) => i);
/** Not fewer than four: normalising two numbers that are nearly equal makes the rounding of either path visible. */
const hiddenKeep = fc.integer({ min: 4, max: HIDDEN }).chain((count) =>
  fc.record({
    dims: fc.subarray(indices, { minLength: count, maxLength: count }),
    pooled: fc.subarray(indices, { minLength: count, maxLength: count }),
  }),
);

describe.each([
  ['bert', 'classification'],
  ['roberta', 'classification'],
  ['distilbert', 'classification'],
  ['gpt2', 'classification'],
  ['bert', 'masked-lm'],
  ['distilbert', 'masked-lm'],
] as const)('hidden dimensions of %s for %s', (architecture, task) => {
  it('the shrunk model equals the one whose normalisations see only the kept ones, beside any plan', async () => {
    await fc.assert(
      fc.asyncProperty(plans, hiddenKeep, async ({ layers }, hidden) => {
        const masked = bundle(architecture, task);
        const { components, structure } = masked.manifest;
        const plan = { layers, hidden };
        applyMasks(masked.model, neuronMasks(components, structure!, plan), true);
        const shrunk = shrink(masked, plan);
        expect(shrunk.manifest.structure!.hidden).toBe(hidden.dims.length);
        applyMasks(masked.model, hiddenMasks(masked, hidden), true);
        maskHidden(masked.model, HIDDEN);
        const kept = Uint8Array.from(indices, (i) => Number(hidden.dims.includes(i)));
        const [expected, actual] = [await logits(masked, hiddenMaskFeeds(kept)), await logits(shrunk)];
        actual.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 4));
      }),
      { numRuns: 10 },
    );
  });
});

function onlyQueryBiases(
  components: Bundle['manifest']['components'],
  masks: ReadonlyMap<string, Uint8Array>,
): Map<string, Uint8Array> {
  const names = new Set(
    components.filter(({ component }) => component === 'W_Q' || component === 'W_K').map(({ bias }) => bias),
  );
  return new Map([...masks].filter(([name]) => names.has(name)));
}

describe('shrink', () => {
  it('removes whole layers and renumbers the rest', async () => {
    const whole = bundle('bert');
    const { layers } = keepEverything(whole.manifest.structure!);
    const shrunk = shrink(whole, { layers: [null, layers[1]] });
    expect(shrunk.manifest.structure!.layers).toHaveLength(1);
    const name = 'bert.encoder.layer.0.intermediate.dense.weight';
    expect(shrunk.model.graph.value(name).constant!.data).toEqual(
      whole.model.graph.value(name.replace('.0.', '.1.')).constant!.data,
    );
    expect((await logits(shrunk)).every(Number.isFinite)).toBe(true);
  });

  it('can be shrunk again', async () => {
    const whole = bundle('bert');
    const everything = keepEverything(whole.manifest.structure!);
    const first: KeepPlan = { layers: everything.layers.map((layer) => ({ ...layer!, ffn: [1, 2, 3, 4] })) };
    const second: KeepPlan = { layers: everything.layers.map((layer) => ({ ...layer!, ffn: [0, 3] })) };
    const twice = shrink(shrink(whole, first), second);
    const once = shrink(whole, { layers: everything.layers.map((layer) => ({ ...layer!, ffn: [1, 4] })) });
    expect(await logits(twice)).toEqual(await logits(once));
  });

  it('counts what W_AO and W_O write among what they still write, and renumbers it when hidden dimensions go', async () => {
    const whole = bundle('bert');
    const { structure, components } = whole.manifest;
    const layers = keepEverything(structure!).layers.map((layer) => layer!);
    const outputs = (attentionOutputs: number[], ffnOutputs: number[]): KeepPlan => ({
      layers: [{ ...layers[0], attentionOutputs, ffnOutputs }, layers[1]],
    });
    const plan = outputs([1, 5, 8], [0, 2, 3]);
    applyMasks(whole.model, neuronMasks(components, structure!, plan), false);
    const twice = shrink(shrink(whole, outputs([1, 3, 5, 8, 11], [0, 2, 3, 7])), outputs([0, 2, 3], [0, 1, 2]));
    const once = shrink(whole, plan);
    expect(await logits(twice)).toEqual(await logits(once));
    expect(twice.manifest.structure).toEqual(once.manifest.structure);

    const dims = [0, 1, 2, 3, 5, 9];
    const narrow = shrink(once, { layers, hidden: { dims, pooled: dims } });
    expect(narrow.manifest.structure!.layers[0]).toMatchObject({ attentionOutputs: [1, 4], ffnOutputs: [0, 2, 3] });
    expect((await logits(narrow)).every(Number.isFinite)).toBe(true);
  });
});
