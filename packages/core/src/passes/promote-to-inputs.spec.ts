import { Graph, Model, print, Tensor, verify } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { promoteToInputs } from './promote-to-inputs';
import { run } from './testing';

describe('promoteToInputs', () => {
  it('makes weights inputs and hands back their data', async () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const x = build.input('x', 'float32', [2]);
    const w = Tensor.float32([2], [3, 4]);
    build.output(build.op('Mul', [x, build.parameter('w', w)]), 'y');
    const data = promoteToInputs(build.model, ['w']);
    verify(build.model);
    expect(data).toEqual(new Map([['w', w]]));
    expect(print(build.model)).toMatchInlineSnapshot(`
"opset 21
graph main(%x: float32[2], %w: float32[2]) -> (%y) {
  %y: float32[2] = Mul(%x, %w)
}
"
`);
    const { y } = await run(build.model, { x: w, w });
    expect(y.data).toEqual(Float32Array.of(9, 16));
  });

  it('refuses what is no initializer', () => {
    const graph = new Graph();
    graph.addInput('x', 'float32', [2]);
    expect(() => promoteToInputs(new Model(graph), ['x'])).toThrow(/"x" is not an initializer/);
  });
});
