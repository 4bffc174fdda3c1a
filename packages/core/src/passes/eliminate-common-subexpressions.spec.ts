import { float, Graph, Model, Node, print, Tensor, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { eliminateCommonSubexpressions } from './eliminate-common-subexpressions';
import { applied } from './testing';

describe('eliminateCommonSubexpressions', () => {
  it('computes equal nodes once, constants included', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const x = build.input('x', 'float32', [2, 3]);
    const twice = [0, 1].map(() => build.op('ReduceMean', [x, build.int64s([1])], { keepdims: 1 }, 'mean'));
    const [a, b] = twice.map((mean) => build.op('Sub', [x, mean]));
    build.output(build.op('Mul', [a, b]), 'y');
    expect(print(applied(eliminateCommonSubexpressions, build.model))).toMatchInlineSnapshot(`
"opset 21
graph main(%x: float32[2,3]) -> (%y) {
  %int64s.1: int64[1] = [1]
  %mean: float32[2,1] = ReduceMean(%x, %int64s.1) {keepdims: 1}
  %Sub: float32[2,3] = Sub(%x, %mean)
  %y: float32[2,3] = Mul(%Sub, %Sub)
}
"
`);
  });

  it('tells attributes and operand order apart', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', [2]);
    const z = graph.addInput('z', 'float32', [2]);
    const add = (op: string, inputs: Value[], alpha?: number): void => {
      const name = `n${graph.nodes.length}`;
      const attributes = new Map(alpha === undefined ? [] : [['alpha', float(alpha)]]);
      graph.addNode(new Node(op, '', name, inputs, [new Value(name)], attributes));
    };
    add('Sub', [x, z]);
    add('Sub', [z, x]);
    add('Elu', [x], 0);
    add('Elu', [x], -0);
    add('Elu', [x], 1);
    add('Elu', [x]);
    expect(applied(eliminateCommonSubexpressions, new Model(graph)).graph.nodes).toHaveLength(6);
  });

  it('leaves weights, random nodes and graph outputs apart', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', [2]);
    for (const name of ['a', 'b']) {
      const w = graph.addInitializer(`w${name}`, Tensor.float32([2], [1, 2]));
      graph.addNode(new Node('Mul', '', `mul ${name}`, [x, w], [new Value(`mul ${name}`)]));
      graph.addNode(new Node('RandomNormalLike', '', `random ${name}`, [x], [new Value(`random ${name}`)]));
      graph.addOutput(graph.addNode(new Node('Relu', '', `relu ${name}`, [x], [new Value(name)])).output());
    }
    expect(applied(eliminateCommonSubexpressions, new Model(graph)).graph.nodes).toHaveLength(6);
  });
});
