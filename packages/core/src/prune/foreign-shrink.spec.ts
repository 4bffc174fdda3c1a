import fc from 'fast-check';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { Tensor } from '../graph';
import { importOnnx } from '../models/import-onnx';
import { maxDifference, runModel } from '../models/testing';
import type { TokenBatch } from '../models/testing';
import { clone } from '../graph';
import { shrinkForeign, straighten } from './foreign-shrink';
import { neuronMasks } from './neuron-masks';
import type { LayerKeep } from './neurons';

const LABELS = ['negative', 'neutral', 'positive'];
const batch = (inputs: readonly string[]): TokenBatch => {
  const rows: Record<string, number[][]> = {
    input_ids: [
      [2, 50, 60, 70, 3],
      [2, 80, 3, 0, 0],
    ],
    attention_mask: [
      [1, 1, 1, 1, 1],
      [1, 1, 1, 0, 0],
    ],
    token_type_ids: [
      [0, 0, 0, 1, 1],
      [0, 0, 0, 0, 0],
    ],
  };
  return Object.fromEntries(inputs.map((name) => [name, rows[name]]));
};

const some = (size: number): fc.Arbitrary<number[]> =>
  fc.subarray(
    Array.from({ length: size }, (_, i) => i),
    { minLength: 1 },
  );

describeWithShared('removal in foreign graphs', () => {
  it.each([
    'bert-legacy-op14',
    'bert-legacy-op17',
    'bert-dynamo-op18',
    'bert-dynamo-op20',
    'distilbert-legacy-op14',
    'distilbert-legacy-op17',
    'distilbert-dynamo-op18',
  ])('%s: shrunk equals masked for any plan', async (name) => {
    const path = sharedPath('fixtures', 'onnx', name);
    const tokenizerDir = sharedPath('fixtures', 'hf', name.split('-')[0]);
    const { bundle } = await importOnnx(path, { tokenizerDir, labels: LABELS, keepGraph: true });
    const straight = straighten(bundle);
    const inputs = batch(bundle.manifest.inputs);
    const { logits: whole } = await runModel(bundle.model, inputs);
    expect(maxDifference((await runModel(straight.model, inputs)).logits, whole)).toBeLessThan(1e-5);
    const { components, structure } = straight.manifest;
    const { queryDims, ffn } = structure!.layers[0];
    const heads = fc.tuple(...queryDims.map((size) => some(size)));
    const layer: fc.Arbitrary<LayerKeep> = fc.record({ queryDims: heads, valueDims: heads, ffn: some(ffn) });
    await fc.assert(
      fc.asyncProperty(fc.tuple(layer, layer), async (layers) => {
        const masked = { ...straight, model: clone(straight.model) };
        for (const [weight, mask] of neuronMasks(components, structure!, { layers })) {
          const value = masked.model.graph.value(weight);
          const data = value.constant!.data as Float32Array;
          value.constant = Tensor.float32(
            value.constant!.dims,
            data.map((x, i) => x * mask[i]),
          );
        }
        const shrunk = shrinkForeign(masked, { layers });
        const [expected, actual] = [await runModel(masked.model, inputs), await runModel(shrunk.model, inputs)];
        expect(maxDifference(actual.logits, expected.logits)).toBeLessThan(1e-4);
        expect(shrunk.manifest.parameters.total).toBeLessThan(straight.manifest.parameters.total);
      }),
      { numRuns: 4 },
    );
  });
});
