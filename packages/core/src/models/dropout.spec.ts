import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { addAdapters, addLora, addPrefix } from '../adapt';
import { sizeOf, Tensor } from '../graph';
import { readModelFile } from '../onnx';
import { specialise } from '../passes';
import { headFor, transformerConfig } from './config';
import { insertDropout } from './dropout';
import type { DropoutSite } from './dropout';
import { maxDifference, runModel, tokenBatch } from './testing';
import { buildTextCnn } from './textcnn';
import { buildTransformer } from './transformer';
import { freshWeights } from './weights';

const SIZES = { batch: 3, sequence: 7 };
const batch = tokenBatch(SIZES.batch, SIZES.sequence, 60);

/** Masks that hold one number. */
const masksOf = (sites: readonly DropoutSite[], value: number): Record<string, Tensor> =>
  Object.fromEntries(
    sites.map(({ input, dims }) => [input, Tensor.float32(dims, new Float32Array(sizeOf(dims)).fill(value))]),
  );

const build = (architecture: 'bert' | 'roberta' | 'distilbert' | 'gpt2') =>
  specialise(
    buildTransformer(
      transformerConfig(architecture, { layers: 2, hidden: 16, heads: 4, vocabulary: 60, maxLength: 12, padId: 0 }),
      headFor('classification', 3),
      freshWeights(5, 0.3),
    ).model,
    SIZES,
  );

describeWithShared('insertDropout on foreign graphs', () => {
  it.each(['bert-legacy-op14', 'bert-dynamo-op18', 'distilbert-legacy-op17'])(
    '%s: the same sites, masks of one change nothing',
    async (name) => {
      const model = await readModelFile(sharedPath('fixtures', 'onnx', name, 'model.onnx'));
      const { logits } = await runModel(model, batch);
      const special = specialise(model, Object.fromEntries(model.graph.inputs.map((input) => [input.name, [3, 7]])));
      const sites = insertDropout(special, { ratio: 0.1 });
      expect(sites).toHaveLength(1 + 2 * 3 + 1);
      const kept = await runModel(special, batch, [], masksOf(sites, 1));
      expect(maxDifference(kept.logits, logits)).toBeLessThan(1e-5);
    },
  );
});

describe('insertDropout', () => {
  it.each(['bert', 'roberta', 'distilbert', 'gpt2'] as const)(
    '%s: masks of one change nothing, masks count',
    async (architecture) => {
      const { logits } = await runModel(build(architecture), batch);
      const model = build(architecture);
      const sites = insertDropout(model, { ratio: 0.1, attentionRatio: 0.2 });
      // Embeddings, per layer probabilities and two block outputs, and the classifier's input.
      expect(sites).toHaveLength(1 + 2 * 3 + 1);
      expect(sites.filter(({ ratio }) => ratio === 0.2).map(({ dims }) => dims)).toEqual([
        [3, 4, 7, 7],
        [3, 4, 7, 7],
      ]);
      const kept = await runModel(model, batch, [], masksOf(sites, 1));
      expect(maxDifference(kept.logits, logits)).toBeLessThan(1e-6);
      const changed = await runModel(model, batch, [], masksOf(sites, 0.5));
      expect(maxDifference(changed.logits, logits)).toBeGreaterThan(1e-3);
    },
  );

  it.each(['bert', 'gpt2'] as const)('%s: finds the same sites with LoRA, adapters or a prefix', (architecture) => {
    const config = transformerConfig(architecture, { layers: 2, hidden: 16, heads: 4, vocabulary: 60, maxLength: 12 });
    const make = () => buildTransformer(config, headFor('classification', 3), freshWeights(5, 0.3));
    const [lora, adapted, prefixed] = [make(), make(), make()];
    const targets = ['W_Q', 'W_V', 'W_AO', 'W_O', 'classifier'] as const;
    addLora(lora.model, lora.components, { rank: 2, alpha: 4, targets, seed: 1 });
    addAdapters(adapted.model, adapted.components, { size: 3, seed: 1 });
    const special = specialise(prefixed.model, SIZES);
    addPrefix(special, { length: 2, seed: 1 });
    for (const model of [specialise(lora.model, SIZES), specialise(adapted.model, SIZES), special]) {
      expect(insertDropout(model, { ratio: 0.1 })).toHaveLength(1 + 2 * 3 + 1);
    }
  });

  it('drops the embeddings and the classifier input of a model without attention', () => {
    const built = buildTextCnn(
      { vocabulary: 60, embedding: 6, kernels: [3], filters: 4, outputs: 2 },
      freshWeights(1, 0.1),
    );
    const sites = insertDropout(specialise(built.model, SIZES), { ratio: 0.3 });
    expect(sites.map(({ dims }) => dims)).toEqual([
      [3, 7, 6],
      [3, 4],
    ]);
  });

  it('leaves out sites of ratio 0 and keeps shapes symbolic models out', () => {
    expect(insertDropout(build('bert'), { ratio: 0, attentionRatio: 0.1 })).toHaveLength(2);
    const config = transformerConfig('bert', { layers: 1, hidden: 8, heads: 2, vocabulary: 20 });
    const { model } = buildTransformer(config, headFor('regression', 0), freshWeights(1, 0.02));
    expect(() => insertDropout(model, { ratio: 0.1 })).toThrow(expect.objectContaining({ code: 'dropout.dynamic' }));
  });
});
