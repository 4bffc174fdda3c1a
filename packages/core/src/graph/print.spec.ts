import { float, Graph, int, ints, Model, Node, print, string, Tensor, Value } from '.';

describe('print', () => {
  it('shows types, short constants and attributes, one line each', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', ['batch', 64]);
    const w = graph.addInitializer('w', Tensor.float32([64, 2], new Float32Array(128)));
    const b = graph.addInitializer('b', Tensor.float32([2], [0.1, -1e-12]));
    const h = new Value('h', { dtype: 'float32', shape: ['batch', 2] });
    const y = new Value('y', { dtype: 'float32' });
    graph.addNode(
      new Node('FusedGemm', 'com.microsoft', 'gemm', [x, w, null, b], [h, new Value('')], attributes({ alpha: 0.1 })),
    );
    const perm = new Map([['perm', ints([1, 0])]]);
    graph.addNode(new Node('Transpose', '', 'transpose', [h], [y], perm));
    graph.addOutput(y);
    const opsets = new Map([
      ['', 21],
      ['com.microsoft', 1],
    ]);
    expect(print(new Model(graph, opsets))).toMatchInlineSnapshot(`
"opset 21, com.microsoft 1
graph main(%x: float32[batch,64]) -> (%y) {
  %w: float32[64,2]
  %b: float32[2] = [0.1, -1e-12]
  %h: float32[batch,2], _ = com.microsoft.FusedGemm(%x, %w, _, %b) {activation: "Relu", alpha: 0.1, transB: 1}
  %y: float32[?] = Transpose(%h) {perm: [1, 0]}
}
"
`);
  });

  it('shows control-flow bodies', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'bool', []);
    const body = new Graph('then_branch');
    body.addNode(new Node('Not', '', 'not', [x], [new Value('i', { dtype: 'bool', shape: [] })]));
    body.addOutput(body.value('i'));
    const branch = new Map([['then_branch', { type: 'graph', value: body } as const]]);
    graph.addOutput(graph.addNode(new Node('If', '', 'if', [x], [new Value('y')], branch)).output());
    expect(print(new Model(graph))).toMatchInlineSnapshot(`
"opset 21
graph main(%x: bool[]) -> (%y) {
  %y: ?[?] = If(%x) {then_branch: graph then_branch() -> (%i) {
    %i: bool[] = Not(%x)
  }}
}
"
`);
  });
});

const attributes = ({ alpha }: { alpha: number }) =>
  new Map([
    ['transB', int(1)],
    ['alpha', float(Math.fround(alpha))],
    ['activation', string('Relu')],
  ]);
