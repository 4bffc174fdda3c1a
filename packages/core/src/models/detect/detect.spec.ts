import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '../../../../../tools/shared-fixtures';
import { readModel, writeModel } from '../../onnx';
import { freshWeights } from '../weights';
import { headFor, transformerConfig } from '../config';
import type { LayerSizes, TransformerArchitecture } from '../config';
import { importHuggingFace } from '../import';
import { buildTransformer } from '../transformer';
import { componentsOf, findAnatomy, structureFrom } from '.';

const EXPORTS = [
  'bert-legacy-op14',
  'bert-legacy-op17',
  'bert-dynamo-op18',
  'bert-dynamo-op20',
  'distilbert-legacy-op14',
  'distilbert-legacy-op17',
  'distilbert-dynamo-op18',
];

describeWithShared('findAnatomy on exports of PyTorch', () => {
  it.each(EXPORTS)('%s has the structure and the weights of its checkpoint', async (name) => {
    const model = readModel(readFileSync(sharedPath('fixtures', 'onnx', name, 'model.onnx')));
    const anatomy = findAnatomy(model.graph);
    const { bundle } = await importHuggingFace(sharedPath('fixtures', 'hf', name.split('-')[0]));
    expect(structureFrom(anatomy)).toEqual(bundle.manifest.structure);
    expect(anatomy.norms).toHaveLength(5);

    const components = componentsOf(anatomy);
    const key = ({ component, layer }: { component: string; layer?: number | undefined }): string =>
      `${layer ?? ''}${component}`;
    expect(components.map(key).sort()).toEqual(bundle.manifest.components.map(key).sort());
    for (const found of components.filter(({ component }) => component !== 'embeddings')) {
      const expected = bundle.manifest.components.find((entry) => key(entry) === key(found))!;
      const [actual, wanted] = [
        model.graph.value(found.weight).constant!,
        bundle.model.graph.value(expected.weight).constant!,
      ];
      expect(actual.dims).toEqual(found.transposed ? wanted.dims.toReversed() : wanted.dims);
      expect(actual.toNumbers().reduce((sum, x) => sum + x, 0)).toBeCloseTo(
        wanted.toNumbers().reduce((sum, x) => sum + x, 0),
        3,
      );
      expect(model.graph.value(found.bias!).constant!.bytes).toEqual(
        bundle.model.graph.value(expected.bias!).constant!.bytes,
      );
    }
  });
});

describe('findAnatomy on our own graphs', () => {
  const config = (architecture: TransformerArchitecture, layers: readonly LayerSizes[]) => ({
    ...transformerConfig(architecture, { layers: 1, hidden: 16, heads: 4, vocabulary: 50, maxLength: 12 }),
    layers,
  });
  const even = (queryDims: readonly number[], valueDims: readonly number[], ffn: number): LayerSizes => ({
    heads: queryDims.length,
    queryDims: [...queryDims],
    valueDims: [...valueDims],
    ffn,
  });

  it.each(['bert', 'roberta', 'distilbert', 'gpt2'] as const)(
    '%s: the map and sizes that the builder stated',
    (architecture) => {
      const sizes = [
        even([4, 4], [4, 4], 20),
        even([4, 4, 2], [4, 4, 3], 7),
        even([3, 0], [2, 5], 9),
        even([0], [6], 5),
      ];
      const built = buildTransformer(config(architecture, sizes), headFor('classification', 3), freshWeights(1, 0.02));
      // Through a file, so that nothing but the graph itself is used.
      const { graph } = readModel(writeModel(built.model));
      const anatomy = findAnatomy(graph);
      expect(structureFrom(anatomy)).toEqual(built.structure);
      const sorted = (list: readonly object[]): string[] =>
        list.map((item) => JSON.stringify(item, Object.keys(item).sort())).sort();
      expect(sorted(componentsOf(anatomy))).toEqual(sorted(built.components));
    },
  );

  it('finds no classifier behind a tied decoder', () => {
    const built = buildTransformer(config('bert', [even([4], [4], 8)]), headFor('masked-lm', 0), freshWeights(1, 0.02));
    expect(findAnatomy(built.model.graph).classifier).toBeUndefined();
  });

  it('refuses layers that share a matrix', () => {
    const sizes = [even([4], [4], 8), even([4], [4], 8)];
    const { graph } = buildTransformer(config('bert', sizes), headFor('masked-lm', 0), freshWeights(1, 0.02)).model;
    const weight = (layer: number) => graph.value(`bert.encoder.layer.${layer}.intermediate.dense.weight`);
    graph.replaceAllUses(weight(1), weight(0));
    expect(() => findAnatomy(graph)).toThrow(expect.objectContaining({ code: 'detect.shared-weights' }));
  });

  it('says why when there is no attention', () => {
    const built = buildTransformer(config('bert', []), headFor('classification', 2), freshWeights(1, 0.02));
    expect(() => findAnatomy(built.model.graph)).toThrow(expect.objectContaining({ code: 'detect.no-attention' }));
  });
});
