import fc from 'fast-check';
import { models } from '../onnx/testing';
import { Graph, Model, Node, Tensor, Value, verify } from '.';

/** A graph of Relu nodes, each reading the values named after the arrow: `b<a` reads a. */
function chain(...edges: string[]): Model {
  const graph = new Graph();
  const values = new Map<string, Value>([['x', graph.addInput('x', 'float32', [])]]);
  const value = (name: string): Value => {
    const found = values.get(name) ?? new Value(name);
    values.set(name, found);
    return found;
  };
  for (const edge of edges) {
    const [output, inputs] = edge.split('<');
    graph.addNode(new Node('Relu', '', output, Array.from(inputs, value), [value(output)]));
  }
  return new Model(graph);
}

const order = ({ graph }: Model): string => graph.nodes.map(({ name }) => name).join('');

describe('Graph.sort', () => {
  it('leaves a sorted list as it is', () => {
    const model = chain('a<x', 'p<x', 'b<a', 'q<p', 'c<ba');
    model.graph.sort();
    expect(order(model)).toBe('apbqc');
  });

  it('moves only what stands before its producers', () => {
    const model = chain('c<b', 'a<x', 'q<x', 'b<a', 'd<c');
    model.graph.sort();
    expect(order(model)).toBe('abcqd');
    verify(model);
  });

  it('names a node of a cycle', () => {
    expect(() => chain('a<c', 'b<a', 'c<b').graph.sort()).toThrow(/cycle through node "[abc]"/);
    expect(() => chain('a<a').graph.sort()).toThrow(/cycle through node "a"/);
  });

  it('counts what a control-flow body reads', () => {
    const { graph } = chain('b<x');
    const body = new Graph('body');
    const outer = new Value('a');
    body.addNode(new Node('Relu', '', 'inner', [outer], [new Value('i')]));
    const branch = new Node('If', '', 'if', [], [new Value('y')], new Map([['then', { type: 'graph', value: body }]]));
    graph.addNode(branch);
    graph.addNode(new Node('Relu', '', 'a', [graph.value('x')], [outer]));
    graph.sort();
    expect(graph.nodes.map(({ name }) => name)).toEqual(['b', 'a', 'if']);
    verify(new Model(graph));
  });

  it('does not run out of stack on a long chain in reverse', () => {
    const graph = new Graph();
    const values = Array.from({ length: 20_001 }, (_, i) => new Value(`v${i}`));
    graph.addValue(values[0]);
    for (let i = 20_000; i > 0; i--) graph.addNode(new Node('Relu', '', `n${i}`, [values[i - 1]], [values[i]]));
    graph.sort();
    expect(graph.nodes[0].name).toBe('n1');
    expect(graph.nodes.at(-1)?.name).toBe('n20000');
  });
});

describe('Graph', () => {
  it('keeps uses true under replacement', () => {
    const { graph } = chain('a<xx', 'b<a', 'c<a');
    graph.addOutput(graph.value('a'));
    graph.replaceAllUses(graph.value('a'), graph.value('x'));
    expect(graph.value('a').uses.size).toBe(0);
    expect(graph.value('x').consumers.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(graph.outputs).toEqual([graph.value('x')]);
  });

  it('removes nodes that read each other together', () => {
    const { graph } = chain('a<x', 'b<a', 'c<x');
    graph.removeNodes(graph.nodes.slice(0, 2));
    expect([...graph.values.keys()]).toEqual(['x', 'c']);
    expect(graph.value('x').uses.size).toBe(1);
  });

  it('does not remove what is still read', () => {
    const { graph } = chain('a<x', 'b<a');
    expect(() => graph.removeNode(graph.nodes[0])).toThrow(/Output "a" of node "a" .* is still used/);
  });

  it('makes names that are not taken', () => {
    const graph = new Graph();
    graph.addInitializer('w', Tensor.scalar(1));
    expect(graph.addInitializer(graph.uniqueName('w'), Tensor.scalar(2)).name).not.toBe('w');
  });

  it('is well-formed whatever was built through its methods', () => {
    fc.assert(fc.property(models, (model) => verify(model)));
  });
});
