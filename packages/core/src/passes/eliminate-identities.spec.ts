import { Graph, int, Model, Node, Tensor, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { eliminateIdentities } from './eliminate-identities';
import { applied, nodesOf } from './testing';

/** y = Relu(op(x)) with x: float32[2,3] */
function wrapped(add: (build: GraphBuilder, x: Value) => Value): Model {
  const build = new GraphBuilder(new Model(new Graph()));
  build.output(build.op('Relu', [add(build, build.input('x', 'float32', [2, 3]))]), 'y');
  return build.model;
}

describe('eliminateIdentities', () => {
  const removed: Record<string, (build: GraphBuilder, x: Value) => Value> = {
    Identity: (build, x) => build.op('Identity', [x]),
    Dropout: (build, x) => build.op('Dropout', [x, build.scalar(0.5)]),
    'Dropout with training off': (build, x) =>
      build.op('Dropout', [x, build.scalar(0.5), build.constant(Tensor.bool([], [false]))]),
    'Cast to the same type': (build, x) => build.op('Cast', [x], { to: 1 }),
    'Reshape to the same shape': (build, x) => build.op('Reshape', [x, build.int64s([-1, 3])]),
    'Expand to the same shape': (build, x) => build.op('Expand', [x, build.int64s([1, 3])]),
    'Transpose in order': (build, x) => build.op('Transpose', [x], { perm: [0, 1] }),
    'Concat of one': (build, x) => build.op('Concat', [x], { axis: 0 }),
    'two in a row': (build, x) => build.op('Identity', [build.op('Cast', [x], { to: 1 })]),
  };

  it.each(Object.keys(removed))('removes %s', (name) => {
    const result = applied(eliminateIdentities, wrapped(removed[name]));
    expect(nodesOf(result)).toEqual(['%y: float32[2,3] = Relu(%x)']);
  });

  it('keeps what changes something', () => {
    const model = wrapped((build, x) => {
      const flat = build.op('Reshape', [x, build.int64s([3, 2])]);
      const turned = build.op('Transpose', [flat], { perm: [1, 0] });
      return build.op('Cast', [build.op('Cast', [turned], { to: 6 })], { to: 1 });
    });
    expect(applied(eliminateIdentities, model).graph.nodes).toHaveLength(5);
  });

  it('keeps the name of a graph output', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const h = build.op('Relu', [build.input('x', 'float32', [2])]);
    build.output(build.op('Identity', [h]), 'y');
    expect(nodesOf(applied(eliminateIdentities, build.model))).toEqual(['%y: float32[2] = Relu(%x)']);
  });

  it('keeps an Identity between input and output, and a Dropout whose mask is read', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', [2]);
    graph.addOutput(graph.addNode(new Node('Identity', '', 'id', [x], [new Value('y')])).output());
    const dropout = graph.addNode(new Node('Dropout', '', 'drop', [x], [new Value('d'), new Value('mask')]));
    const cast = new Node('Cast', '', 'cast', [dropout.output(1)], [new Value('z')], new Map([['to', int(1)]]));
    graph.addOutput(graph.addNode(cast).output());
    expect(applied(eliminateIdentities, new Model(graph)).graph.nodes).toHaveLength(3);
  });
});
