import { Graph, Model, verify } from '../../graph';
import { GraphBuilder } from '../../graph/builder';
import { inExecutionOrder } from './execution-order';

describe('inExecutionOrder', () => {
  it('lists leaves last and reversed, and leaves the given model alone', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    let x = build.input('x', 'float32', [2]);
    for (const layer of [1, 2, 3]) {
      x = build.op('Neg', [x], {}, `chain${layer}`);
      build.output(build.op('Exp', [x], {}, `leaf${layer}`));
    }
    const names = (model: Model): string[] => model.graph.nodes.map(({ name }) => name);
    const before = names(build.model);
    const ordered = inExecutionOrder(build.model);
    verify(ordered);
    expect(names(ordered)).toEqual(['chain1', 'chain2', 'chain3', 'leaf3', 'leaf2', 'leaf1']);
    expect(names(build.model)).toEqual(before);
    expect(ordered.graph.outputs.map(({ name }) => name)).toEqual(['leaf1', 'leaf2', 'leaf3']);
  });
});
