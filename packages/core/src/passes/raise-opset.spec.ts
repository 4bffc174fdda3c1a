import { Graph, int, ints, Model, Node, print, Value } from '../graph';
import { inferShapes } from './infer-shapes';
import { raiseOpset } from './raise-opset';
import { applied, feedsOf, run } from './testing';

/** Opset 13: the mean and maximum of both halves of x. */
function old(): Model {
  const graph = new Graph();
  const x = graph.addInput('x', 'float32', [2, 4]);
  const [a, b, mean, max] = ['a', 'b', 'mean', 'max'].map((name) => new Value(name));
  graph.addNode(new Node('Split', '', 'split', [x], [a, b], new Map([['axis', int(1)]])));
  graph.addNode(new Node('ReduceMean', '', 'reduce', [a], [mean], new Map([['axes', ints([-1])]])));
  graph.addNode(new Node('ReduceMax', '', 'all', [b], [max], new Map([['keepdims', int(0)]])));
  graph.addOutput(mean);
  graph.addOutput(max);
  const model = new Model(graph, new Map([['', 13]]), new Map(), 7);
  inferShapes(model);
  return model;
}

describe('raiseOpset', () => {
  it('moves axes to an input and states the number of parts', async () => {
    const raised = applied(raiseOpset, old());
    expect(print(raised)).toMatchInlineSnapshot(`
"opset 21
graph main(%x: float32[2,4]) -> (%mean, %max) {
  %reduce.axes: int64[1] = [-1]
  %a: float32[2,2], %b: float32[2,2] = Split(%x) {axis: 1, num_outputs: 2}
  %mean: float32[2,1] = ReduceMean(%a, %reduce.axes)
  %max: float32[] = ReduceMax(%b) {keepdims: 0}
}
"
`);
    expect(raised.irVersion).toBe(10);
    inferShapes(raised);
    expect(await run(raised, feedsOf(raised))).toEqual(await run(old(), feedsOf(raised)));
  });

  it('leaves newer models alone', () => {
    const model = old();
    model.opsets.set('', 22);
    expect(raiseOpset(model)).toEqual({ modified: false });
  });

  it('refuses an op whose changes it does not know', () => {
    const model = old();
    model.graph.addNode(new Node('RoiAlign', '', 'roi', [], [new Value('r')]));
    expect(() => raiseOpset(model)).toThrow(
      expect.objectContaining({ code: 'ops.unknown', details: { node: 'roi', op: 'RoiAlign' } }),
    );
  });
});
