/** @file Every op's shape rule, and `evaluate` where there is one, against ONNX Runtime. */
import { GRADIENT_CASES } from '../autodiff/gradient-cases';
import { Graph, Model, ONNX_DOMAIN, Tensor } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import { OPS } from '.';
import type { OpName } from '.';
import { ruleFor } from './infer';

type Case = (build: GraphBuilder) => Value | readonly Value[];

/** Numbers -0.9, -0.6, ... so that rounding, signs and comparisons see both sides. */
const floats = (...dims: number[]): Tensor => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return Tensor.float32(
    dims,
    Array.from({ length: size }, (_, i) => ((i * 7) % size) * 0.3 - 0.9),
  );
};
const c = (build: GraphBuilder, tensor: Tensor): Value => build.constant(tensor);
const bools = (...values: boolean[]): Tensor => Tensor.bool([values.length], values);
const uint8 = (dims: readonly number[], values: readonly number[]): Tensor =>
  Tensor.of('uint8', dims, Uint8Array.from(values));
const int8 = (dims: readonly number[], values: readonly number[]): Tensor =>
  Tensor.of('int8', dims, Int8Array.from(values));

const unary = (op: OpName, tensor = floats(2, 5)): Case[] => [(build) => build.op(op, [c(build, tensor)])];
const compare = (op: OpName): Case[] => [
  (build) => build.op(op, [c(build, floats(2, 5)), c(build, floats(5))]),
  (build) => build.op(op, [build.int64s([1, 2, 3]), build.int64s([3, 2, 1])]),
];
const logical = (op: OpName): Case[] => [
  (build) => build.op(op, [c(build, bools(true, true, false)), c(build, bools(true, false, false))]),
];

/** Ops without a gradient, and integer forms of others. */
const CASES: Partial<Record<OpName, readonly Case[]>> = {
  Sign: unary('Sign'),
  Floor: unary('Floor'),
  Ceil: unary('Ceil'),
  Round: unary('Round', Tensor.float32([6], [-2.5, -1.5, -0.5, 0.5, 1.5, 2.3])),
  IsNaN: unary('IsNaN', Tensor.float32([3], [1, NaN, Infinity])),
  Not: unary('Not', bools(true, false)),
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
    (build) => build.op('Cast', [c(build, floats(5))], { to: 7 }),
    (build) => build.op('Cast', [c(build, floats(5))], { to: 9 }),
    (build) => build.op('Cast', [build.int64s([0, 3])], { to: 1 }),
  ],
  ArgMax: [
    (build) => build.op('ArgMax', [c(build, floats(2, 5))], { axis: 1 }),
    (build) => build.op('ArgMax', [c(build, floats(2, 3, 4))], { axis: -2, keepdims: 0, select_last_index: 1 }),
  ],
  ReduceProd: [(build) => build.op('ReduceProd', [build.int64s([2, 3, 4])], { keepdims: 0 })],
  ReduceMax: [(build) => build.op('ReduceMax', [build.int64s([2, 3, 1]), build.int64s([0])])],
  Constant: [(build) => build.op('Constant', [], { value_ints: [1, 2] })],
  ConstantOfShape: [
    (build) =>
      build.op('ConstantOfShape', [build.int64s([2, 1])], { value: { type: 'tensor', value: Tensor.int64([1], [4]) } }),
    (build) => build.op('ConstantOfShape', [build.int64s([3])]),
  ],
  Shape: [
    (build) => build.op('Shape', [c(build, floats(2, 3, 4))]),
    (build) => build.op('Shape', [c(build, floats(2, 3, 4))], { start: -2, end: -1 }),
  ],
  Size: [(build) => build.op('Size', [c(build, floats(2, 3))])],
  Range: [
    (build) =>
      build.op(
        'Range',
        [0, 7, 2].map((x) => build.scalar(x, 'int64')),
      ),
    (build) =>
      build.op(
        'Range',
        [3, -1, -1.5].map((x) => build.scalar(x)),
      ),
  ],
  Unsqueeze: [(build) => build.op('Unsqueeze', [build.int64s([1, 2]), build.int64s([-1, 0])])],
  Gather: [(build) => build.op('Gather', [build.int64s([4, 5, 6]), build.scalar(-1, 'int64')])],
  GatherND: [
    (build) =>
      build.op('GatherND', [c(build, floats(2, 3, 2)), c(build, Tensor.int64([2, 1], [2, 0]))], { batch_dims: 1 }),
  ],
  Concat: [(build) => build.op('Concat', [build.int64s([1]), build.int64s([2, 3])], { axis: 0 })],
  Slice: [
    (build) =>
      build.op('Slice', [
        build.int64s([1, 2, 3, 4]),
        build.int64s([-1]),
        build.int64s([-9]),
        build.int64s([0]),
        build.int64s([-2]),
      ]),
  ],
  Split: [(build) => build.ops('Split', [c(build, floats(5, 2))], { num_outputs: 2 }, 2)],
  Where: [(build) => build.op('Where', [c(build, bools(true, false)), build.int64s([1, 2]), build.scalar(0, 'int64')])],
  OneHot: [
    (build) =>
      build.op('OneHot', [
        build.int64s([1, -1, 5]),
        build.scalar(3, 'int64'),
        c(build, Tensor.float32([2], [0.1, 0.9])),
      ]),
    (build) => build.op('OneHot', [build.int64s([1, 0]), build.scalar(3, 'int64'), build.int64s([0, 1])], { axis: 0 }),
  ],
  ConvTranspose: [
    (build) =>
      build.op('ConvTranspose', [c(build, floats(1, 2, 4)), c(build, floats(2, 3, 3))], {
        strides: [2],
        pads: [1, 0],
        output_padding: [1],
      }),
  ],
  LSTM: [
    (build) =>
      build.ops(
        'LSTM',
        [c(build, floats(3, 2, 4)), c(build, floats(2, 20, 4)), c(build, floats(2, 20, 5)), c(build, floats(2, 40))],
        { direction: 'bidirectional', hidden_size: 5 },
        3,
      ),
  ],
  BitShift: [
    (build) =>
      build.op('BitShift', [c(build, uint8([2, 1], [1, 200])), c(build, uint8([3], [1, 2, 3]))], { direction: 'LEFT' }),
  ],
  BitwiseAnd: [(build) => build.op('BitwiseAnd', [c(build, uint8([3], [7, 8, 255])), c(build, uint8([], [12]))])],
  BitwiseOr: [(build) => build.op('BitwiseOr', [c(build, uint8([3], [7, 8, 255])), c(build, uint8([3], [1, 2, 3]))])],
  QuantizeLinear: [
    (build) => build.op('QuantizeLinear', [c(build, floats(2, 3)), build.scalar(0.1), c(build, int8([], [3]))]),
    (build) => build.op('QuantizeLinear', [c(build, floats(2, 3)), build.scalar(0.1)]),
  ],
  DequantizeLinear: [(build) => build.op('DequantizeLinear', [c(build, uint8([3], [1, 2, 200])), build.scalar(0.1)])],
  DynamicQuantizeLinear: [(build) => build.ops('DynamicQuantizeLinear', [c(build, floats(2, 3))], {}, 3)],
  MatMulInteger: [
    (build) =>
      build.op('MatMulInteger', [c(build, uint8([2, 3], [1, 2, 3, 4, 5, 6])), c(build, int8([3, 1], [1, -1, 1]))]),
  ],
  QLinearMatMul: [
    (build) => {
      const [scale, zero] = [build.scalar(0.1), c(build, uint8([], [0]))];
      const [a, b] = [c(build, uint8([2, 2], [1, 2, 3, 4])), c(build, uint8([2, 3], [1, 2, 3, 4, 5, 6]))];
      return build.op('QLinearMatMul', [a, scale, zero, b, scale, zero, scale, zero]);
    },
  ],
  DynamicQuantizeMatMul: [
    (build) =>
      build.op('DynamicQuantizeMatMul', [
        c(build, floats(2, 3)),
        c(build, int8([3, 2], [1, 2, 3, -4, 5, 6])),
        build.scalar(0.1),
      ]),
  ],
  MatMulIntegerToFloat: [
    (build) =>
      build.op('MatMulIntegerToFloat', [
        c(build, uint8([2, 3], [1, 2, 3, 4, 5, 6])),
        c(build, int8([3, 2], [1, 2, 3, -4, 5, 6])),
        build.scalar(0.1),
        build.scalar(0.2),
      ]),
  ],
  MatMulNBits: [
    (build) =>
      build.op(
        'MatMulNBits',
        [
          c(build, floats(2, 32)),
          c(
            build,
            uint8(
              [3, 1, 16],
              Array.from({ length: 48 }, (_, i) => i * 5),
            ),
          ),
          c(build, floats(3)),
        ],
        {
          K: 32,
          N: 3,
          bits: 4,
          block_size: 32,
        },
      ),
  ],
  GatherBlockQuantized: [
    (build) =>
      build.op(
        'GatherBlockQuantized',
        [
          c(
            build,
            uint8(
              [2, 8],
              Array.from({ length: 16 }, (_, i) => i * 9),
            ),
          ),
          build.int64s([1, 0, 1]),
          c(build, floats(2, 1)),
        ],
        {
          bits: 4,
          block_size: 16,
          gather_axis: 0,
          quantize_axis: 1,
        },
      ),
  ],
};

/** Ops that are always refused. */
const REFUSED: readonly OpName[] = ['Einsum'];

const toList = (values: Value | readonly Value[]): readonly Value[] => ('producer' in values ? [values] : values);

/** Gradient cases with constant inputs. */
const floatCases = Object.entries(GRADIENT_CASES).flatMap(([op, list]) =>
  list.map(({ inputs, build: make, opset }): [string, Case, number] => [
    op,
    (build) =>
      make(
        build,
        inputs.map(({ dims, low = -0.9 }) => c(build, low > 0 ? positive(floats(...dims)) : floats(...dims))),
      ),
    opset ?? 21,
  ]),
);
const positive = (tensor: Tensor): Tensor =>
  Tensor.float32(
    tensor.dims,
    tensor.toNumbers().map((x) => Math.abs(x) + 0.1),
  );
const plainCases = Object.entries(CASES).flatMap(([op, list]) =>
  list.map((make): [string, Case, number] => [op, make, 21]),
);

/** Computes values of a graph of constants in JavaScript; undefined when an op has no `evaluate`. */
function interpret(value: Value, opset: number): Tensor | undefined {
  const node = value.producer;
  if (!node) return value.constant;
  const inputs = node.inputs.map((input) => (input ? interpret(input, opset) : null));
  if (inputs.includes(undefined)) return undefined;
  return ruleFor(node).evaluate?.(node, inputs as (Tensor | null)[], opset)[node.outputs.indexOf(value)];
}

describe('op rules', () => {
  it('has a case for every op', () => {
    const tested = new Set([...floatCases, ...plainCases].map(([op]) => op));
    expect(Object.keys(OPS).filter((op) => !tested.has(op))).toEqual(REFUSED);
  });

  it.each([...floatCases, ...plainCases])('%s: types and values equal ONNX Runtime', async (_, make, opset) => {
    const build = new GraphBuilder(new Model(new Graph(), new Map([[ONNX_DOMAIN, opset]])));
    const outputs = toList(make(build)).map((value, i) => build.output(value, `y${i}`));
    const executable = await ortRuntime.compile(build.model, { threads: 1, optimization: 'disabled' });
    const results = await executable.run({});
    await executable.release();
    for (const output of outputs) {
      const expected = results[output.name];
      expect({ dtype: output.dtype, dims: output.shape }).toEqual({ dtype: expected.dtype, dims: expected.dims });
      const computed = interpret(output, opset);
      if (computed) expectClose(computed, expected);
    }
  });
});

function expectClose(actual: Tensor, expected: HostTensor): void {
  expect([actual.dtype, actual.dims]).toEqual([expected.dtype, expected.dims]);
  const wanted = Array.from(expected.data as ArrayLike<number | bigint>, Number);
  actual
    .toNumbers()
    .forEach((value, i) =>
      expect(Math.abs(value - wanted[i])).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(wanted[i]))),
    );
}
