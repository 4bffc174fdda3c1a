import { buildTrainingGraph, crossEntropy } from '../../../autodiff';
import { Graph, Model, float } from '../../../graph';
import type { Node, Value } from '../../../graph';
import { GraphBuilder } from '../../../graph/builder';
import { buildTransformer, freshWeights, insertDropout, transformerConfig } from '../../../models';
import { parameterNames, specialise } from '../../../passes';
import { nodesOf } from '../../../passes/testing';
import { NATIVE_DOMAIN } from './substitute';
import { lower } from '.';

const LAYERS = 2;

/** The training graph of a small BERT. */
function trainingGraph(dropout: number): Model {
  const config = transformerConfig('bert', { layers: LAYERS, hidden: 64, heads: 2, vocabulary: 50, maxLength: 32 });
  const { model } = buildTransformer(config, { task: 'classification', labels: 2 }, freshWeights(1, 0.02));
  const parameters = parameterNames(model);
  const dims = [4, 32];
  const special = specialise(model, { input_ids: dims, attention_mask: dims, token_type_ids: dims });
  if (dropout > 0) insertDropout(special, { ratio: dropout });
  return buildTrainingGraph(special, {
    parameters,
    outputs: [],
    loss: (build, outputs) => crossEntropy(build, outputs.get('logits')!, build.input('labels', 'int64', [4])),
  }).model;
}

function countNative({ graph }: Model): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { domain, opType } of graph.nodes) {
    if (domain === NATIVE_DOMAIN) counts[opType] = (counts[opType] ?? 0) + 1;
  }
  return counts;
}

const build = (body: (build: GraphBuilder) => Value): Model => {
  const builder = new GraphBuilder(new Model(new Graph()));
  builder.output(body(builder), 'y');
  return builder.model;
};

describe('lowering for the native runtime', () => {
  it.each([0, 0.1])('finds every chain of a training graph (dropout %d)', (dropout) => {
    const model = trainingGraph(dropout);
    const before = nodesOf(model);
    const lowered = lower(model);
    expect(nodesOf(model)).toEqual(before);
    expect(countNative(lowered)).toEqual({
      // of each layer, forward and two backward: q, k, v, output and two of the feed-forward network, scores, context;
      // and the gradient of the word table, which is small enough to be a product
      Bf16Gemm: LAYERS * 3 * (6 + 2) + 1,
      Gelu: LAYERS,
      GeluGrad: LAYERS,
      LayerNormGrad: 2 * LAYERS + 1,
      ResidualNorm: 2 * LAYERS + 1,
      SoftmaxGrad: LAYERS,
    });
    const left = lowered.graph.nodes.map(({ opType }) => opType);
    expect(left.filter((op) => ['Erf', 'LayerNormalization', 'FusedMatMul'].includes(op))).toEqual([]);
  });

  it('keeps the names of inputs and outputs, in their order', () => {
    const model = trainingGraph(0.1);
    const names = ({ graph }: Model): string[][] =>
      [graph.inputs, graph.outputs].map((list) => list.map((v) => v.name));
    expect(names(lower(model))).toEqual(names(model));
  });

  it('takes a scale and a bias into the product', () => {
    const model = build((b) => {
      const x = b.op('Mul', [b.input('x', 'float32', ['n', 64]), b.scalar(0.5)]);
      const product = b.op('Mul', [b.op('MatMul', [x, b.input('w', 'float32', [64, 32])]), b.scalar(0.25)]);
      return b.op('Add', [b.input('b', 'float32', [32]), product]);
    });
    expect(nodesOf(lower(model))).toEqual(['%y: float32[n,32] = modelpress.Bf16Gemm(%x, %w, %b) {alpha: 0.125}']);
  });

  it('adds a matrix, but no column', () => {
    const gemm = (dims: readonly number[]): Model =>
      build((b) => {
        const inputs = [b.input('x', 'float32', [64, 64]), b.input('w', 'float32', [32, 64])];
        return b.op('Gemm', [...inputs, b.input('c', 'float32', dims)], { transB: 1 });
      });
    expect(nodesOf(lower(gemm([64, 32])))).toEqual([
      '%y: float32[64,32] = modelpress.Bf16Gemm(%x, %w, %c) {transB: 1}',
    ]);
    expect(countNative(lower(gemm([64, 1])))).toEqual({});
  });

  const others: Record<string, (b: GraphBuilder) => Value> = {
    'small products': (b) => b.op('MatMul', [b.input('x', 'float32', [16, 16]), b.input('w', 'float32', [16, 16])]),
    'products with vectors': (b) =>
      b.op('MatMul', [b.input('x', 'float32', [4096]), b.input('w', 'float32', [4096, 64])]),
    'other element types': (b) =>
      b.op('MatMul', [b.input('x', 'float64', [64, 64]), b.input('w', 'float64', [64, 64])]),
    'broadcast batches': (b) =>
      b.op('MatMul', [b.input('x', 'float32', [2, 64, 64]), b.input('w', 'float32', [1, 64, 64])]),
    'a beta': (b) =>
      b.op(
        'Gemm',
        ['x', 'w', 'c'].map((name) => b.input(name, 'float32', [64, 64])),
        { beta: float(0.5) },
      ),
    'a normalisation of something else than a sum': (b) => {
      const [x, s, t] = [
        b.input('x', 'float32', [8, 64]),
        b.input('s', 'float32', [64]),
        b.input('t', 'float32', [64]),
      ];
      return b.op('LayerNormalization', [b.op('Relu', [x]), s, t]);
    },
    'a sum that broadcasts': (b) => {
      const [x, s, t] = [
        b.input('x', 'float32', [8, 64]),
        b.input('s', 'float32', [64]),
        b.input('t', 'float32', [64]),
      ];
      return b.op('LayerNormalization', [b.op('Add', [x, s]), s, t]);
    },
  };

  it.each(Object.keys(others))('leaves %s alone', (name) => {
    const model = build(others[name]);
    expect(nodesOf(lower(model))).toEqual(nodesOf(model));
    expect(model.graph.nodes.every(({ domain }: Node) => domain !== NATIVE_DOMAIN)).toBe(true);
  });
});
