import { GRADIENT_CASES } from '../../autodiff/gradient-cases';
import { Graph, Model, Node, Tensor, Value } from '../../graph';
import { GraphBuilder } from '../../graph/builder';
import type { OpName } from '../../ops';
import { ortRuntime } from '../ort';
import type { HostTensor } from '../runtime';
import { TFJS_OPS } from './ops';
import { tfjsRuntime } from '.';

type Case = (build: GraphBuilder) => Value | readonly Value[];

/** Numbers around 0 in an order without pattern. */
const floats = (build: GraphBuilder, ...dims: number[]): Value => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const values = Array.from({ length: size }, (_, i) => (((i * 7) % size) / size) * 4 - 2);
  return build.constant(Tensor.float32(dims, values));
};
const bools = (build: GraphBuilder, ...values: boolean[]): Value =>
  build.constant(Tensor.bool([values.length], values));
const grid = (build: GraphBuilder, dims: readonly number[], values: readonly number[]): Value =>
  build.constant(Tensor.int64(dims, values));

const unary = (op: OpName): Case[] => [(build) => build.op(op, [floats(build, 2, 5)])];
const compare = (op: OpName): Case[] => [
  (build) => build.op(op, [floats(build, 2, 5), floats(build, 5)]),
  (build) => build.op(op, [build.int64s([1, 2, 3]), build.int64s([3, 2, 1])]),
];
const logical = (op: OpName): Case[] => [
  (build) => build.op(op, [bools(build, true, true, false), bools(build, true, false, false)]),
];

/** Forms that the gradient cases do not have: integers, booleans, negative indices, options. */
const CASES: Partial<Record<OpName, readonly Case[]>> = {
  Sign: unary('Sign'),
  Floor: unary('Floor'),
  Ceil: unary('Ceil'),
  Round: [(build) => build.op('Round', [build.constant(Tensor.float32([6], [-2.5, -1.5, -0.5, 0.5, 1.5, 2.3]))])],
  IsNaN: [(build) => build.op('IsNaN', [build.constant(Tensor.float32([3], [1, NaN, Infinity]))])],
  Not: [(build) => build.op('Not', [bools(build, true, false)])],
  Equal: compare('Equal'),
  Greater: compare('Greater'),
  GreaterOrEqual: compare('GreaterOrEqual'),
  Less: compare('Less'),
  LessOrEqual: compare('LessOrEqual'),
  And: logical('And'),
  Or: logical('Or'),
  Div: [(build) => build.op('Div', [build.int64s([7, -7, 6]), build.scalar(2, 'int64')])],
  Max: [(build) => build.op('Max', [build.int64s([1, 5]), build.int64s([3]), build.int64s([2, 9])])],
  Cast: [
    (build) => build.op('Cast', [floats(build, 9)], { to: 7 }),
    (build) => build.op('Cast', [floats(build, 9)], { to: 9 }),
    (build) => build.op('Cast', [build.int64s([0, 3])], { to: 1 }),
  ],
  Clip: [(build) => build.op('Clip', [build.int64s([1, 5, 9]), null, build.scalar(6, 'int64')])],
  Dropout: [(build) => build.ops('Dropout', [floats(build, 4), build.scalar(0.5)], {}, 2)],
  ArgMax: [
    (build) => build.op('ArgMax', [floats(build, 2, 5)], { axis: 1 }),
    (build) => build.op('ArgMax', [floats(build, 2, 3, 4)], { axis: -2, keepdims: 0 }),
  ],
  TopK: [
    (build) => build.ops('TopK', [floats(build, 3, 4), build.int64s([2])], { axis: 0, largest: 0 }, 2),
    (build) => build.ops('TopK', [floats(build, 3, 4), build.int64s([2])], {}, 2),
  ],
  CumSum: [
    (build) => build.op('CumSum', [floats(build, 2, 3), build.scalar(-1, 'int64')], { exclusive: 1, reverse: 1 }),
  ],
  ReduceProd: [(build) => build.op('ReduceProd', [build.int64s([2, 3, 4])], { keepdims: 0 })],
  ReduceSum: [
    (build) => build.op('ReduceSum', [floats(build, 2, 3), null], { noop_with_empty_axes: 1 }),
    (build) => build.op('ReduceSum', [build.int64s([2, 3, 4])]),
  ],
  Constant: [
    (build) => build.op('Constant', [], { value_ints: [1, 2] }),
    (build) => build.op('Constant', [], { value: { type: 'tensor', value: Tensor.bool([2], [true, false]) } }),
  ],
  ConstantOfShape: [
    (build) => build.op('ConstantOfShape', [build.int64s([3])]),
    (build) =>
      build.op('ConstantOfShape', [build.int64s([2, 1])], { value: { type: 'tensor', value: Tensor.int64([1], [4]) } }),
  ],
  Shape: [(build) => build.op('Shape', [floats(build, 2, 3, 4)], { start: -2, end: -1 })],
  Size: [(build) => build.op('Size', [floats(build, 2, 3)])],
  Range: [
    (build) => build.op('Range', [build.scalar(0, 'int64'), build.scalar(7, 'int64'), build.scalar(2, 'int64')]),
    (build) => build.op('Range', [build.scalar(3), build.scalar(-1), build.scalar(-1.5)]),
  ],
  Reshape: [(build) => build.op('Reshape', [floats(build, 2, 6), build.int64s([0, -1, 3])])],
  Squeeze: [(build) => build.op('Squeeze', [floats(build, 1, 3, 1)])],
  Unsqueeze: [(build) => build.op('Unsqueeze', [build.int64s([1, 2]), build.int64s([-1, 0])])],
  Expand: [(build) => build.op('Expand', [floats(build, 2, 3), build.int64s([4, 1, 1])])],
  Gather: [(build) => build.op('Gather', [build.int64s([4, 5, 6]), build.scalar(-1, 'int64')])],
  GatherElements: [
    (build) => build.op('GatherElements', [floats(build, 2, 3), grid(build, [1, 3], [0, -1, 1])], { axis: 0 }),
  ],
  GatherND: [(build) => build.op('GatherND', [floats(build, 2, 3, 2), grid(build, [2, 2], [0, 2, -1, -3])])],
  ScatterND: [
    (build) => build.op('ScatterND', [floats(build, 4, 2), grid(build, [2, 1], [-1, 1]), floats(build, 2, 2)]),
  ],
  ScatterElements: [
    (build) =>
      build.op('ScatterElements', [floats(build, 2, 3), grid(build, [1, 2], [-1, 0]), floats(build, 1, 2)], {
        axis: 1,
      }),
  ],
  Concat: [(build) => build.op('Concat', [build.int64s([1]), build.int64s([2, 3])], { axis: -1 })],
  Slice: [
    (build) =>
      build.op('Slice', [
        floats(build, 5, 4),
        build.int64s([-1, 1]),
        build.constant(Tensor.int64([2], [-9, 2n ** 63n - 1n])),
        build.int64s([0, -1]),
        build.int64s([-2, 2]),
      ]),
    (build) => build.op('Slice', [floats(build, 4), build.int64s([9]), build.int64s([10])]),
  ],
  Split: [(build) => build.ops('Split', [floats(build, 5, 2)], { num_outputs: 2 }, 2)],
  Pad: [(build) => build.op('Pad', [floats(build, 3, 4), build.int64s([1, -1]), build.scalar(7), build.int64s([-1])])],
  Trilu: [
    (build) => build.op('Trilu', [floats(build, 2, 3, 4), build.scalar(1, 'int64')], { upper: 1 }),
    (build) => build.op('Trilu', [floats(build, 3, 3), build.scalar(-1, 'int64')], { upper: 0 }),
  ],
  Where: [(build) => build.op('Where', [bools(build, true, false), build.int64s([1, 2]), build.scalar(0, 'int64')])],
  OneHot: [
    (build) => build.op('OneHot', [build.int64s([1, -1]), build.scalar(3, 'int64'), floats(build, 2)]),
    (build) => build.op('OneHot', [build.int64s([1, 0]), build.scalar(3, 'int64'), build.int64s([0, 1])], { axis: 0 }),
  ],
  MatMul: [(build) => build.op('MatMul', [floats(build, 2, 1, 3, 4), floats(build, 5, 4, 2)])],
  Conv: [
    (build) =>
      build.op('Conv', [floats(build, 1, 4, 6, 5), floats(build, 6, 2, 3, 2)], { group: 2, dilations: [2, 1] }),
  ],
  ConvTranspose: [
    (build) =>
      build.op('ConvTranspose', [floats(build, 1, 2, 4), floats(build, 2, 3, 3)], {
        strides: [2],
        pads: [1, 0],
        output_padding: [1],
      }),
  ],
  MaxPool: [
    (build) =>
      build.ops(
        'MaxPool',
        [floats(build, 2, 3, 5, 4)],
        { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] },
        2,
      ),
  ],
};

async function bothRuntimes(test: Case): Promise<[HostTensor[], HostTensor[]]> {
  const build = new GraphBuilder(new Model(new Graph()));
  const result = test(build);
  const outputs = 'producer' in result ? [result] : result;
  outputs.forEach((output, i) => build.output(output, `y${i}`));
  const results = [];
  for (const runtime of [ortRuntime, tfjsRuntime]) {
    const executable = await runtime.compile(build.model);
    results.push(Object.values(await executable.run({})));
    await executable.release();
  }
  return [results[0], results[1]];
}

const numbersOf = ({ data }: HostTensor): number[] => Array.from(data as ArrayLike<number | bigint>, Number);

describe('ops on TensorFlow.js', () => {
  it('are all compared with ONNX Runtime, here or by their gradients', () => {
    const supported = Object.entries(TFJS_OPS).flatMap(([op, entry]) => (typeof entry === 'function' ? [op] : []));
    const compared = new Set([...Object.keys(CASES), ...Object.keys(GRADIENT_CASES)]);
    expect(supported.filter((op) => !compared.has(op))).toEqual([]);
  });

  const cases = Object.entries(CASES).flatMap(([op, list]) => list.map((test, i) => ({ op, i, test })));

  it.each(cases)('$op, case $i', async ({ test }) => {
    const [expected, actual] = await bothRuntimes(test);
    expect(actual.map(({ dtype, dims }) => ({ dtype, dims }))).toEqual(
      expected.map(({ dtype, dims }) => ({ dtype, dims })),
    );
    expected.forEach((tensor, i) => {
      const difference = numbersOf(tensor).map((x, j) => Math.abs(x - numbersOf(actual[i])[j]));
      expect(Math.max(0, ...difference)).toBeLessThan(1e-5);
    });
  });
});

/** y = Relu(x), of the given input type */
function relu(dtype: 'float32' | 'float16' = 'float32'): Model {
  const build = new GraphBuilder(new Model(new Graph()));
  build.output(build.op('Relu', [build.input('x', dtype, ['n', 2])]), 'y');
  return build.model;
}

const x: HostTensor = { dtype: 'float32', dims: [1, 2], data: Float32Array.of(-1, 2) };

describe('tfjsRuntime', () => {
  it('runs a graph again with other data and other sizes', async () => {
    const executable = await tfjsRuntime.compile(relu());
    expect(executable.inputs).toEqual(['x']);
    expect(executable.outputs).toEqual(['y']);
    expect(await executable.run({ x })).toEqual({ y: { ...x, data: Float32Array.of(0, 2) } });
    const { y } = await executable.run({ x: { ...x, dims: [2, 2], data: Float32Array.of(1, -2, 3, -4) } });
    expect(numbersOf(y)).toEqual([1, 0, 3, 0]);
  });

  it('writes into memory that it is given, and leaves its inputs alone', async () => {
    const executable = await tfjsRuntime.compile(relu());
    const slab = new Float32Array(4);
    const y: HostTensor = { dtype: 'float32', dims: [1, 2], data: slab.subarray(1, 3) };
    expect((await executable.run({ x }, { y })).y).toBe(y);
    expect([...slab]).toEqual([0, 0, 2, 0]);
    expect(numbersOf(x)).toEqual([-1, 2]);
  });

  it('keeps nothing after a run, whether it succeeds or fails', async () => {
    const tf: typeof import('@tensorflow/tfjs-core') = require('@tensorflow/tfjs-core');
    const build = new GraphBuilder(new Model(new Graph()));
    const input = build.input('x', 'float32', ['n', 2]);
    const w = build.parameter('w', Tensor.float32([3, 2], [1, 2, 3, 4, 5, 6]));
    build.output(build.op('MatMul', [build.op('Relu', [input]), build.op('Transpose', [w])]), 'y');
    const before = tf.memory().numTensors;
    const executable = await tfjsRuntime.compile(build.model);
    await executable.run({ x });
    await expect(executable.run({ x: { ...x, dims: [2, 2] } })).rejects.toMatchObject({ code: 'runtime.input' });
    expect(tf.memory().numTensors).toBe(before + 1);
    await executable.release();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('names what it is not given, or given wrongly', async () => {
    const executable = await tfjsRuntime.compile(relu());
    await expect(executable.run({})).rejects.toMatchObject({ code: 'runtime.input', details: { field: 'x' } });
    await expect(executable.run({ x: { ...x, dims: [2, 1] } })).rejects.toThrow(/must be %x: float32\[n,2\]/);
  });

  it('names the node that it cannot run', async () => {
    const graph = new Graph();
    const input = graph.addInput('x', 'float32', [1]);
    const node = new Node('DynamicQuantizeLinear', '', 'quantize', [input], [new Value('q')]);
    graph.addOutput(graph.addNode(node).output());
    await expect(tfjsRuntime.compile(new Model(graph))).rejects.toMatchObject({
      code: 'runtime.unsupported-op',
      details: { node: 'quantize', op: 'DynamicQuantizeLinear' },
    });
  });

  it('names the node that fails', async () => {
    const graph = new Graph();
    const [a, b] = [graph.addInput('a', 'float32', ['m']), graph.addInput('b', 'float32', ['n'])];
    const sum = new Value('y', { dtype: 'float32', shape: ['n'] });
    graph.addOutput(graph.addNode(new Node('Add', '', 'sum', [a, b], [sum])).output());
    const executable = await tfjsRuntime.compile(new Model(graph));
    const vector = (length: number): HostTensor => ({
      dtype: 'float32',
      dims: [length],
      data: new Float32Array(length),
    });
    await expect(executable.run({ a: vector(2), b: vector(3) })).rejects.toMatchObject({
      code: 'runtime.failed',
      details: { node: 'sum', op: 'Add' },
    });
  });

  it('says which dtypes it cannot hold', async () => {
    const executable = await tfjsRuntime.compile(relu('float16'));
    const half: HostTensor = { dtype: 'float16', dims: [1, 2], data: new Uint16Array(2) };
    await expect(executable.run({ x: half })).rejects.toMatchObject({ code: 'runtime.dtype' });
  });

  it('says what a device needs', async () => {
    await expect(tfjsRuntime.compile(relu(), { device: 'webgpu' })).rejects.toMatchObject({ code: 'runtime.device' });
    const { devices } = await tfjsRuntime.capabilities();
    expect(devices.find(({ device }) => device === 'cpu')).toEqual({ device: 'cpu', available: true });
    const cuda = devices.find(({ device }) => device === 'cuda');
    expect(cuda?.available || cuda?.reason?.includes('@tensorflow/tfjs-node-gpu')).toBe(true);
  });

  it('drops with the given probability in training', async () => {
    const graph = new Graph();
    const input = graph.addInput('x', 'float32', [10_000]);
    const ratio = graph.addInitializer('ratio', Tensor.scalar(0.25));
    const training = graph.addInitializer('training', Tensor.bool([], [true]));
    const [y, mask] = [new Value('y', { dtype: 'float32' }), new Value('mask', { dtype: 'bool' })];
    graph.addNode(new Node('Dropout', '', 'dropout', [input, ratio, training], [y, mask]));
    graph.addOutput(y);
    graph.addOutput(mask);
    const executable = await tfjsRuntime.compile(new Model(graph));
    const ones = { dtype: 'float32', dims: [10_000], data: new Float32Array(10_000).fill(1) } as const;
    const results = await executable.run({ x: ones });
    const kept = numbersOf(results.mask);
    expect(kept.reduce((a, b) => a + b)).toBeGreaterThan(7000);
    expect(kept.reduce((a, b) => a + b)).toBeLessThan(8000);
    expect(numbersOf(results.y).map((value) => Math.round(value * 3))).toEqual(kept.map((keep) => keep * 4));
  });
});
