import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import type { ComponentEntry } from '../bundle/manifest';
import { clone, Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { buildTransformer, headFor, importOnnx, transformerConfig } from '../models';
import type { TransformerArchitecture } from '../models';
import { maxDifference, runModel, tokenBatch } from '../models/testing';
import { freshWeights } from '../models/weights';
import { removeDeadCode } from '../passes';
import { ortRuntime } from '../runtime';
import { FACTORIZABLE } from './config';
import { lowRank, multiplied } from './low-rank';
import { matrixOf, rewrite } from './rewrite';
import { findTargets } from './targets';

const RANK = 3;

/** The model with whole weights of rank 3, and the same with two thin matrices for each. */
function bothForms(model: Model, components: readonly ComponentEntry[]): { whole: Model; thin: Model; count: number } {
  const [whole, thin] = [clone(model), clone(model)];
  const { targets } = findTargets(thin.graph, components, FACTORIZABLE);
  for (const target of targets) {
    const matrix = matrixOf(target);
    const factors = lowRank(matrix, Math.min(RANK, matrix.rows));
    const product = multiplied(factors, matrix.rows, matrix.columns);
    const stored = { weight: new Value('w', { constant: Tensor.float32([matrix.rows, matrix.columns], product) }) };
    const turned = matrixOf({ ...stored, transposed: target.transposed });
    whole.graph.value(target.weight.name).constant = Tensor.float32([turned.rows, turned.columns], turned.data);
    rewrite(thin.graph, target, factors);
  }
  removeDeadCode(thin);
  thin.graph.sort();
  return { whole, thin, count: targets.length };
}

const isGone = ({ graph }: Model, names: readonly string[]): boolean => names.every((name) => !graph.values.has(name));

describe('rewrite', () => {
  it.each<TransformerArchitecture>(['bert', 'roberta', 'distilbert', 'gpt2'])(
    'of %s computes what the product of the two matrices would',
    async (architecture) => {
      const config = transformerConfig(architecture, {
        layers: 2,
        hidden: 16,
        heads: 2,
        vocabulary: 30,
        maxLength: 12,
      });
      const built = buildTransformer(config, headFor('classification', 3), freshWeights(5, 0.3));
      const { whole, thin, count } = bothForms(built.model, built.components);
      expect(count).toBeGreaterThanOrEqual(13);
      const weights = built.components.filter(({ layer }) => layer !== undefined);
      expect(
        isGone(
          thin,
          weights.map(({ weight }) => weight),
        ),
      ).toBe(true);
      const batch = tokenBatch(3, 7, 30);
      const [a, b] = [await runModel(whole, batch), await runModel(thin, batch)];
      expect(maxDifference(a[built.output], b[built.output])).toBeLessThan(1e-5);
    },
  );

  it('of a Gemm keeps its bias, factor and orientation', async () => {
    const graph = new Graph();
    const model = new Model(graph);
    const build = new GraphBuilder(model);
    const x = build.input('x', 'float32', [2, 6]);
    const noise = (dims: number[], step: number): Tensor =>
      Tensor.float32(
        dims,
        Float32Array.from({ length: dims.reduce((p, q) => p * q, 1) }, (_, i) => Math.sin(i * step)),
      );
    const inputs = [x, build.parameter('w', noise([5, 6], 1.7)), build.parameter('b', noise([5], 0.3))];
    const y = new Value('y', { dtype: 'float32', shape: [2, 5] });
    const { attributes } = build.op('Gemm', inputs, { transB: 1, alpha: 2 }).producer!;
    attributes.set('alpha', { type: 'float', value: 0.5 });
    graph.addNode(new Node('Identity', ONNX_DOMAIN, 'y', [graph.nodes[0].output()], [y]));
    graph.addOutput(y);
    const { whole, thin } = bothForms(model, [{ component: 'W_P', weight: 'w', bias: 'b' }]);
    const feeds = {
      x: { dtype: 'float32', dims: [2, 6], data: (noise([2, 6], 2.1) as Tensor<'float32'>).data },
    } as const;
    const outputs = await Promise.all(
      [whole, thin].map(async (form) => {
        const executable = await ortRuntime.compile(form, { threads: 1 });
        const { y: result } = await executable.run(feeds);
        await executable.release();
        return result.data as Float32Array;
      }),
    );
    expect(maxDifference(outputs[0], outputs[1])).toBeLessThan(1e-6);
  });

  it('passes over tables that are a decoder, too', () => {
    const config = transformerConfig('bert', { layers: 1, hidden: 16, heads: 2, vocabulary: 30, maxLength: 12 });
    const built = buildTransformer(config, headFor('masked-lm', 0), freshWeights(5, 0.3));
    const { passed } = findTargets(built.model.graph, built.components, ['embeddings']);
    expect(passed[0]).toEqual(
      expect.objectContaining({ component: 'embeddings', reason: expect.stringContaining('look-up table and') }),
    );
  });
});

describeWithShared('rewrite of foreign graphs', () => {
  it.each(['bert-legacy-op14', 'bert-dynamo-op20', 'distilbert-legacy-op17'])('%s', async (name) => {
    const tokenizerDir = sharedPath('fixtures', 'hf', name.split('-')[0]);
    const labels = ['negative', 'neutral', 'positive'];
    const { bundle } = await importOnnx(sharedPath('fixtures', 'onnx', name), {
      tokenizerDir,
      labels,
      keepGraph: true,
    });
    const { model, manifest } = bundle;
    const { whole, thin, count } = bothForms(model, manifest.components);
    expect(count).toBeGreaterThanOrEqual(14);
    const batch = tokenBatch(3, 7, manifest.structure!.vocabulary);
    const [a, b] = [await runModel(whole, batch), await runModel(thin, batch)];
    expect(maxDifference(a[manifest.output], b[manifest.output])).toBeLessThan(1e-5);
  });
});
