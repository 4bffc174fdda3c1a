import { readdirSync } from 'node:fs';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { Graph, Model, Node, print, Value, verify } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { readModelFile } from '../onnx';
import type { HostTensor } from '../runtime';
import { ortRuntime, tfjsRuntime } from '../runtime';
import { parameterNames } from './rewrite';
import { specialise } from './specialise';
import { largestDifference, run } from './testing';

/** y = Relu(x) of a [batch, 4] input */
function symbolic(): Model {
  const build = new GraphBuilder(new Model(new Graph()));
  build.output(build.op('Relu', [build.input('x', 'float32', ['batch', 4])]), 'y');
  return build.model;
}

describe('specialise', () => {
  it('sets sizes by dimension or by input, in a copy', () => {
    const model = symbolic();
    const before = print(model);
    expect(specialise(model, { batch: 3 }).graph.value('y').shape).toEqual([3, 4]);
    expect(specialise(model, { x: [5, 4] }).graph.value('y').shape).toEqual([5, 4]);
    expect(print(model)).toBe(before);
  });

  it('names a size that no input has, and an input that cannot have the shape', () => {
    expect(() => specialise(symbolic(), { batch: 3, length: 4 })).toThrow(/"length".*%x: float32\[batch,4\]/);
    expect(() => specialise(symbolic(), { x: [3, 5] })).toThrow(/cannot have the shape \[3,5\]/);
  });

  it('names the node whose shape stays open', () => {
    expect(() => specialise(symbolic(), {})).toThrow(/%x: float32\[batch,4\], an input/);
    const build = new GraphBuilder(new Model(new Graph()));
    const x = build.input('x', 'float32', [4]);
    const n = build.input('n', 'int64', []);
    const range = build.op('Range', [build.scalar(0, 'int64'), n, build.scalar(1, 'int64')], {}, 'positions');
    build.output(build.op('Gather', [x, range]), 'y');
    expect(() => specialise(build.model, {})).toThrow(
      expect.objectContaining({ code: 'passes.dynamic-shape', details: { node: 'positions', op: 'Range' } }),
    );
  });

  it('names a node of control flow', () => {
    const graph = new Graph();
    const condition = graph.addInput('c', 'bool', []);
    const body = new Graph('body');
    const attributes = new Map([['then_branch', { type: 'graph', value: body } as const]]);
    graph.addOutput(graph.addNode(new Node('If', '', 'branch', [condition], [new Value('y')], attributes)).output());
    expect(() => specialise(new Model(graph), {})).toThrow(
      expect.objectContaining({ code: 'ops.unknown', details: { node: 'branch', op: 'If' } }),
    );
  });
});

/** Four rows of sixteen: token ids below 2000, the last tokens of each row masked, segments 0 and 1. */
function batch({ graph }: Model): Record<string, HostTensor> {
  const fill: Record<string, (row: number, column: number) => number> = {
    input_ids: (row, column) => (row * 631 + column * 37 + 5) % 2000,
    attention_mask: (row, column) => (column < 16 - 3 * row ? 1 : 0),
    token_type_ids: (_, column) => (column < 8 ? 0 : 1),
  };
  return Object.fromEntries(
    graph.inputs.map(({ name }) => {
      const data = BigInt64Array.from({ length: 64 }, (_, i) => BigInt(fill[name](i >> 4, i % 16)));
      return [name, { dtype: 'int64', dims: [4, 16], data } as const];
    }),
  );
}

const opCounts = ({ graph }: Model): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { opType } of graph.nodes) counts[opType] = (counts[opType] ?? 0) + 1;
  return counts;
};

describeWithShared('specialise on PyTorch exports', () => {
  const read = (name: string): Promise<Model> => readModelFile(sharedPath('fixtures', 'onnx', name, 'model.onnx'));
  const shapes = (model: Model): Record<string, readonly number[]> =>
    Object.fromEntries(model.graph.inputs.map(({ name }) => [name, [4, 16]]));

  it.each(readdirSync(sharedPath('fixtures', 'onnx')))(
    '%s gives the same logits without shape arithmetic',
    async (name) => {
      const model = await read(name);
      const special = specialise(model, shapes(model));
      verify(special);
      expect(parameterNames(special)).toEqual(expect.arrayContaining(parameterNames(model)));
      const feeds = batch(model);
      const [before, after] = await Promise.all([model, special].map((each) => run(each, feeds)));
      expect(largestDifference(before.logits, after.logits)).toBeLessThan(1e-6);

      const independent = await (await tfjsRuntime.compile(special)).run(feeds);
      expect(largestDifference(independent.logits, after.logits)).toBeLessThan(2e-6);
      await (await ortRuntime.compile(special, { threads: 1 })).release();
    },
  );

  it('leaves few ops', async () => {
    const rows: Record<string, string> = {};
    for (const name of readdirSync(sharedPath('fixtures', 'onnx'))) {
      const model = await read(name);
      const special = specialise(model, shapes(model));
      const counts = Object.entries(opCounts(special)).sort(([a], [b]) => (a < b ? -1 : 1));
      const text = counts.map(([op, count]) => `${op} ${count}`).join(', ');
      rows[name] = `${model.graph.nodes.length} -> ${special.graph.nodes.length}: ${text}`;
    }
    expect(rows).toMatchInlineSnapshot(`
{
  "bert-dynamo-op18": "129 -> 86: Add 20, And 1, Cast 1, Gather 4, GatherND 1, Gelu 2, Gemm 2, IsNaN 2, LayerNormalization 5, MatMul 16, Mul 4, Reshape 12, Softmax 2, Tanh 1, Transpose 10, Where 3",
  "bert-dynamo-op20": "121 -> 86: Add 20, And 1, Cast 1, Gather 4, GatherND 1, Gelu 2, Gemm 2, IsNaN 2, LayerNormalization 5, MatMul 16, Mul 4, Reshape 12, Softmax 2, Tanh 1, Transpose 10, Where 3",
  "bert-legacy-op14": "287 -> 77: Add 20, And 1, Cast 1, Flatten 1, Gather 5, Gelu 2, Gemm 2, LayerNormalization 5, MatMul 16, Mul 2, Reshape 10, Softmax 2, Tanh 1, Transpose 8, Where 1",
  "bert-legacy-op17": "237 -> 77: Add 20, And 1, Cast 1, Flatten 1, Gather 5, Gelu 2, Gemm 2, LayerNormalization 5, MatMul 16, Mul 2, Reshape 10, Softmax 2, Tanh 1, Transpose 8, Where 1",
  "distilbert-dynamo-op18": "127 -> 84: Add 19, And 1, Cast 1, Gather 3, GatherND 1, Gelu 2, Gemm 2, IsNaN 2, LayerNormalization 5, MatMul 16, Mul 4, Relu 1, Reshape 12, Softmax 2, Transpose 10, Where 3",
  "distilbert-legacy-op14": "285 -> 75: Add 19, And 1, Cast 1, Flatten 1, Gather 4, Gelu 2, Gemm 2, LayerNormalization 5, MatMul 16, Mul 2, Relu 1, Reshape 10, Softmax 2, Transpose 8, Where 1",
  "distilbert-legacy-op17": "235 -> 75: Add 19, And 1, Cast 1, Flatten 1, Gather 4, Gelu 2, Gemm 2, LayerNormalization 5, MatMul 16, Mul 2, Relu 1, Reshape 10, Softmax 2, Transpose 8, Where 1",
}
`);
  });
});
