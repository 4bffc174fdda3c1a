import { Graph, Model, print, Tensor } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { removeDeadCode } from './dead-code';
import { applied } from './testing';

describe('removeDeadCode', () => {
  it('removes nodes and constants that no output needs, and keeps inputs', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const x = build.input('x', 'float32', [2]);
    build.input('unused', 'float32', [2]);
    const w = build.parameter('w', Tensor.float32([2], [1, 2]));
    build.op('Neg', [build.op('Mul', [x, w])]);
    build.output(build.op('Relu', [x]), 'y');
    expect(print(applied(removeDeadCode, build.model))).toMatchInlineSnapshot(`
"opset 21
graph main(%x: float32[2], %unused: float32[2]) -> (%y) {
  %y: float32[2] = Relu(%x)
}
"
`);
  });

  it('keeps a node of which only the second output is needed', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const parts = build.ops('Split', [build.input('x', 'float32', [4])], { axis: 0, num_outputs: 2 }, 2);
    build.output(parts[1], 'y');
    expect(applied(removeDeadCode, build.model).graph.nodes).toHaveLength(1);
  });
});
