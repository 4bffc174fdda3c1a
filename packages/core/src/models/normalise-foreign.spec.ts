import { Graph, Model, Node, string, Tensor, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { findAnatomy, findLinears, structureFrom } from './detect';
import { headFor, transformerConfig } from './config';
import { normaliseForeign } from './normalise-foreign';
import { maxDifference, runModel, tokenBatch } from './testing';
import { buildTransformer } from './transformer';
import { freshWeights } from './weights';

const HIDDEN = 6;
const batch = {
  input_ids: [
    [1, 2, 3],
    [0, 3, 1],
  ],
};

/** Embeddings through one fused projection as GPT-2's exports write it: flattened for Gemm, cut into three. */
function fused(transB: boolean): Model {
  const build = new GraphBuilder(new Model(new Graph()));
  const weights = freshWeights(3, 0.5);
  const ids = build.input('input_ids', 'int64', ['batch', 'sequence']);
  const x = build.op('Gather', [build.parameter('table', weights('table', [4, HIDDEN], 'embedding')), ids]);
  const flat = build.op('Reshape', [x, build.int64s([-1, HIDDEN])]);
  const matrix = build.parameter('w', weights('w', transB ? [3 * HIDDEN, HIDDEN] : [HIDDEN, 3 * HIDDEN], 'matrix'));
  const bias = build.parameter('b', weights('b', [3 * HIDDEN], 'matrix'));
  const projected = build.op('Gemm', [flat, matrix, bias], { transB: Number(transB) });
  const shape = build.op('Concat', [build.op('Shape', [ids]), build.int64s([3 * HIDDEN])], { axis: 0 });
  const parts = build.ops('Split', [build.op('Reshape', [projected, shape])], { axis: 2, num_outputs: 3 }, 3);
  const mixed = build.op('Mul', [build.op('Sub', [parts[0], parts[1]]), parts[2]]);
  build.output(mixed, 'logits');
  return build.model;
}

describe('normaliseForeign', () => {
  it.each([false, true])(
    'splits a fused projection (transposed: %s) into three with the same result',
    async (transB) => {
      const { logits } = await runModel(fused(transB), batch);
      const model = fused(transB);
      normaliseForeign(model);
      expect(findLinears(model.graph).map(({ weight, bias }) => [weight.name, bias?.name])).toEqual([
        ['w.query', 'b.query'],
        ['w.key', 'b.key'],
        ['w.value', 'b.value'],
      ]);
      expect(model.graph.values.has('w')).toBe(false);
      expect(maxDifference((await runModel(model, batch)).logits, logits)).toBeLessThan(1e-6);
    },
  );

  it('gives vectors behind Identity and in Constant nodes initializers of their own', async () => {
    const config = transformerConfig('bert', { layers: 2, hidden: 8, heads: 2, vocabulary: 30, maxLength: 12 });
    const build = (): Model => buildTransformer(config, headFor('classification', 2), freshWeights(1, 0.3)).model;
    const model = build();
    const { graph } = model;
    const first = graph.value('bert.encoder.layer.0.attention.self.query.bias');
    const hide = (name: string, node: (output: Value) => Node): void => {
      const original = graph.value(name);
      const output = new Value(`${name}.hidden`, { dtype: 'float32', shape: original.shape! });
      graph.addNode(node(output), graph.nodes[0]);
      graph.replaceAllUses(original, output);
      graph.removeValue(original);
      graph.renameValue(output, name);
    };
    hide(
      'bert.encoder.layer.1.attention.self.key.bias',
      (output) => new Node('Identity', '', 'shared', [first], [output]),
    );
    const matrix = graph.value('bert.encoder.layer.1.intermediate.dense.weight').constant!;
    hide('bert.encoder.layer.1.intermediate.dense.weight', (output) => {
      return new Node(
        'Constant',
        '',
        'constant',
        [],
        [output],
        new Map([['value', { type: 'tensor', value: matrix }]]),
      );
    });
    normaliseForeign(model);
    expect(structureFrom(findAnatomy(graph)).layers).toEqual(config.layers);
    expect(graph.value('bert.encoder.layer.1.attention.self.key.bias').constant).toBeInstanceOf(Tensor);
    const tokens = tokenBatch(2, 5, 30);
    expect(maxDifference((await runModel(model, tokens)).logits, (await runModel(build(), tokens)).logits)).toBe(0);
  });

  it('leaves attributes of other nodes alone', () => {
    const graph = new Graph();
    const input = graph.addInput('input_ids', 'int64', ['batch', 'sequence']);
    const output = new Value('logits', { dtype: 'float32', shape: ['batch', 2] });
    graph.addNode(new Node('Mystery', 'com.example', 'mystery', [input], [output], new Map([['mode', string('x')]])));
    graph.addOutput(output);
    normaliseForeign(new Model(graph));
    expect(graph.nodes.map((node) => node.attribute('mode', 'string'))).toEqual(['x']);
  });
});
