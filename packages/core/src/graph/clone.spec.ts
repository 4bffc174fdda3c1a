import fc from 'fast-check';
import { models } from '../onnx/testing';
import { clone, Graph, Model, Node, print, Tensor, Value, verify } from '.';

describe('clone', () => {
  it('makes an equal model that shares no value or node', () => {
    fc.assert(
      fc.property(models, (model) => {
        const copy = clone(model);
        verify(copy);
        verify(model);
        expect(print(copy)).toBe(print(model));
        const originals = new Set(model.graph.values.values());
        expect([...copy.graph.values.values()].some((value) => originals.has(value))).toBe(false);
      }),
    );
  });

  it('shares tensors and lets the copy change alone', () => {
    const graph = new Graph();
    const w = graph.addInitializer('w', Tensor.float32([2], [1, 2]));
    graph.addNode(new Node('Relu', '', 'relu', [w], [new Value('y')]));
    const model = new Model(graph);
    const before = print(model);

    const copy = clone(model);
    expect(copy.graph.value('w').constant).toBe(w.constant);
    copy.graph.nodes[0].attributes.set('alpha', { type: 'int', value: 1 });
    copy.graph.removeNode(copy.graph.nodes[0]);
    copy.metadata.set('key', 'value');
    expect(print(model)).toBe(before);
    expect(model.metadata.size).toBe(0);
  });
});
