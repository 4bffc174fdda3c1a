import fc from 'fast-check';
import type { Bundle } from '../bundle/bundle';
import { manifestFor } from '../models/import';
import { Tensor } from '../graph';
import type { Model } from '../graph';
import { buildTransformer, configToHuggingFace, freshWeights, headFor, transformerConfig } from '../models';
import type { TransformerArchitecture } from '../models';
import { ortRuntime } from '../runtime';
import { neuronMasks } from './neuron-masks';
import { keepEverything } from './neurons';
import type { KeepPlan, LayerKeep } from './neurons';
import { shrink } from './shrink';
import type { HeadLayout } from './shrink';

const LABELS = ['a', 'b', 'c'];

function bundle(architecture: TransformerArchitecture): Bundle {
  const config = transformerConfig(architecture, {
    layers: 2,
    hidden: 12,
    heads: 3,
    ffn: 10,
    vocabulary: 20,
    maxLength: 12,
  });
  const built = buildTransformer(config, headFor('classification', LABELS.length), perturbed(freshWeights(5, 0.4)));
  const manifest = manifestFor(built, {
    name: 'tiny',
    architecture,
    task: 'classification',
    maxLength: 12,
    config: configToHuggingFace({}, config, 'classification', LABELS),
    provenance: [],
  });
  return { model: built.model, manifest, labels: LABELS, tokenizerFiles: new Map() };
}

/** Fresh weights with biases that are not zero, so that a forgotten one shows. */
const perturbed =
  (source: ReturnType<typeof freshWeights>): ReturnType<typeof freshWeights> =>
  (name, dims, role) =>
    role === 'bias' ? source(name, dims, 'matrix') : source(name, dims, role);

async function logits({ model, manifest }: Bundle): Promise<number[]> {
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
  const result = await executable.run(
    Object.fromEntries(manifest.inputs.map((name) => [name, feeds[name as keyof typeof feeds]])),
  );
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
const layerKeep: fc.Arbitrary<LayerKeep> = fc.record({ queryDims: heads, valueDims: heads, ffn: subset(10) });
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
});
