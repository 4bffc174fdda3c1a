import { Graph, Model, Node, print, Tensor, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { removeDeadCode } from './dead-code';
import { foldConstants } from './fold-constants';
import { sequence } from './pass';
import { applied, nodesOf } from './testing';

const fold = sequence(foldConstants, removeDeadCode);

describe('foldConstants', () => {
  it('computes shape arithmetic down to the Reshape that needs it', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const x = build.input('x', 'float32', [8, 32, 64]);
    const length = build.op('Gather', [build.op('Shape', [x]), build.scalar(1, 'int64')]);
    const dims = [-1, build.op('Mul', [length, build.scalar(4, 'int64')])].map((dim) =>
      build.op('Unsqueeze', [typeof dim === 'number' ? build.scalar(dim, 'int64') : dim, build.int64s([0])]),
    );
    build.output(build.op('Reshape', [x, build.op('Concat', dims, { axis: 0 }, 'dims')]), 'y');
    expect(print(applied(fold, build.model))).toMatchInlineSnapshot(`
"opset 21
graph main(%x: float32[8,32,64]) -> (%y) {
  %dims: int64[2] = [-1, 128]
  %y: float32[128,128] = Reshape(%x, %dims)
}
"
`);
  });

  it('never computes on a weight, but on floats that it computed', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const w = build.parameter('w', Tensor.float32([2, 3], [1, 2, 3, 4, 5, 6]));
    const mask = build.op('ConstantOfShape', [build.int64s([3, 2])], {}, 'mask');
    const ones = build.op('Add', [mask, build.scalar(1)], {}, 'ones');
    build.output(build.op('Add', [build.op('Transpose', [w], { perm: [1, 0] }), ones]), 'y');
    expect(nodesOf(applied(fold, build.model))).toMatchInlineSnapshot(`
[
  "%Transpose: float32[3,2] = Transpose(%w) {perm: [1, 0]}",
  "%y: float32[3,2] = Add(%Transpose, %ones)",
]
`);
  });

  it('turns Constant nodes into initializers, large ones too', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', [1, 2]);
    const w = new Value('w');
    const weight = Tensor.float32([2, 2 ** 20], new Float32Array(2 ** 21));
    graph.addNode(new Node('Constant', '', 'c', [], [w], new Map([['value', { type: 'tensor', value: weight }]])));
    const y = new Value('y');
    graph.addNode(new Node('MatMul', '', 'product', [x, w], [y]));
    graph.addOutput(y);
    const folded = applied(foldConstants, new Model(graph));
    expect(folded.graph.value('w').constant).toBe(weight);
  });

  it('passes over omitted outputs', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', [2]);
    const two = graph.addInitializer('two', Tensor.int64([2], [2, 3]));
    const sizes = graph.addInitializer('sizes', Tensor.int64([2], [1, 1]));
    const [second, y] = [new Value('second'), new Value('y')];
    graph.addNode(new Node('Split', '', 'split', [two, sizes], [new Value(''), second]));
    graph.addNode(new Node('Gather', '', 'gather', [x, second], [y]));
    graph.addOutput(y);
    const folded = applied(sequence(foldConstants, removeDeadCode), new Model(graph));
    expect(folded.graph.value('second').constant?.toNumbers()).toEqual([3]);
  });

  it('does not make a model larger than it was', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const dims = build.int64s([2048, 2048]);
    const big = build.op('Expand', [build.scalar(1), dims]);
    build.output(build.op('Add', [build.input('x', 'float32', [2048]), big]), 'y');
    expect(applied(foldConstants, build.model).graph.nodes).toHaveLength(2);
  });

  it('keeps what computes a graph output', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    build.output(build.op('Shape', [build.input('x', 'float32', [2])]), 'y');
    expect(applied(foldConstants, build.model).graph.nodes).toHaveLength(1);
  });

  it('leaves arithmetic on half precision to the runtime', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const half = build.constant(Tensor.of('float16', [], Uint16Array.of(0x3c00)));
    const x = build.input('x', 'float32', [2]);
    build.output(build.op('Mul', [x, build.op('Cast', [half], { to: 1 })]), 'y');
    const ops = applied(foldConstants, build.model).graph.nodes.map(({ opType }) => opType);
    expect(ops).toEqual(['Cast', 'Mul']);
  });
});
