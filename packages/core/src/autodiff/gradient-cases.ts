/** @file One or more gradient checks for every operator with a gradient rule. Used by tests only. */
import { Tensor, float } from '../graph';
import type { Value } from '../graph';
import type { AttributeInput, GraphBuilder } from '../graph/builder';
import type { OpName } from '../ops';
import type { CaseInput, GradientCase } from './gradient-check';

type Attributes = Readonly<Record<string, AttributeInput>>;

/** A case that applies one op to its inputs. */
const apply = (op: OpName, inputs: readonly CaseInput[], attributes: Attributes = {}, opset = 21): GradientCase => ({
  inputs,
  opset,
  build: (build, x) => build.op(op, x, attributes),
});

/** A case whose further inputs are constants. */
const withConstants = (
  op: OpName,
  inputs: readonly CaseInput[],
  constants: (build: GraphBuilder) => readonly (Value | null)[],
  attributes: Attributes = {},
): GradientCase => ({ inputs, build: (build, x) => build.op(op, [...x, ...constants(build)], attributes) });

const dims = (...list: number[]): CaseInput => ({ dims: list });
const positive = (...list: number[]): CaseInput => ({ dims: list, low: 0.4, high: 2 });
const bools = (build: GraphBuilder, list: readonly number[], values: readonly boolean[]): Value =>
  build.constant(Tensor.bool(list, values));
const int64 = (build: GraphBuilder, list: readonly number[], values: readonly number[]): Value =>
  build.constant(Tensor.int64(list, values));

const unary = (op: OpName, input: CaseInput = dims(2, 6)): GradientCase[] => [apply(op, [input])];

/** Equal shapes, a row vector against rows, a scalar, a middle dimension, and both sides broadcast. */
const binary = (op: OpName, make: (...list: number[]) => CaseInput = dims): GradientCase[] => [
  apply(op, [make(2, 3), make(2, 3)]),
  apply(op, [make(2, 3, 4), make(4)]),
  apply(op, [make(), make(2, 3)]),
  apply(op, [make(2, 3, 4), make(2, 1, 4)]),
  apply(op, [make(3, 1), make(2, 1, 4)]),
];

/** All axes, some axes kept, some dropped, axes as an attribute before opset 18. */
const reduction = (op: OpName, input: CaseInput = dims(2, 3, 4)): GradientCase[] => [
  apply(op, [input], { keepdims: 0 }),
  withConstants(op, [input], (build) => [build.int64s([-1])], { keepdims: 1 }),
  withConstants(op, [input], (build) => [build.int64s([0, 2])], { keepdims: 0 }),
];
const attributeReduction = (op: OpName): GradientCase => apply(op, [dims(2, 3, 4)], { axes: [1], keepdims: 0 }, 17);

/** Every transposition of 2-d factors, and a scaled batched product. */
const transposing = (op: 'FusedMatMul' | 'Gemm'): GradientCase[] => [
  apply(op, [dims(2, 3), dims(3, 4)]),
  apply(op, [dims(3, 2), dims(3, 4)], { transA: 1 }),
  apply(op, [dims(2, 3), dims(4, 3)], { transB: 1, alpha: float(0.5) }),
  apply(op, [dims(3, 2), dims(4, 3)], { transA: 1, transB: 1, alpha: float(2) }),
];

export const GRADIENT_CASES: Partial<Record<OpName, readonly GradientCase[]>> = {
  Identity: unary('Identity'),
  Neg: unary('Neg'),
  Abs: unary('Abs'),
  Sqrt: unary('Sqrt', positive(2, 6)),
  Exp: unary('Exp'),
  Log: unary('Log', positive(2, 6)),
  Reciprocal: unary('Reciprocal', positive(2, 6)),
  Sin: unary('Sin'),
  Cos: unary('Cos'),
  Erf: unary('Erf'),
  Tanh: unary('Tanh'),
  Sigmoid: unary('Sigmoid'),
  Relu: unary('Relu'),
  Softplus: unary('Softplus'),
  Gelu: [
    apply('Gelu', [{ dims: [4, 6], low: -4, high: 4 }]),
    apply('Gelu', [{ dims: [4, 6], low: -4, high: 4 }], { approximate: 'tanh' }),
  ],
  Cast: unary('Cast').map(({ inputs }) => apply('Cast', inputs, { to: 1 })),
  Dropout: unary('Dropout'),

  Add: binary('Add'),
  Sub: binary('Sub'),
  Mul: binary('Mul'),
  Div: binary('Div', positive),
  Pow: [
    ...binary('Pow', positive),
    ...[2, 3, 0.5, -1].map((power) => withConstants('Pow', [positive(2, 3)], (build) => [build.scalar(power)])),
  ],
  Min: [...binary('Min'), apply('Min', [dims(2, 3)])],
  Max: binary('Max'),
  Where: [
    {
      inputs: [dims(2, 3), dims(3)],
      build: (build, x) => build.op('Where', [bools(build, [2, 1], [true, false]), ...x]),
    },
    {
      inputs: [dims(2, 3)],
      build: (build, x) => build.op('Where', [bools(build, [3], [true, false, true]), x[0], build.scalar(-1e4)]),
    },
  ],
  Clip: [
    withConstants('Clip', [dims(2, 6)], (build) => [build.scalar(-0.53), build.scalar(0.71)]),
    withConstants('Clip', [dims(2, 6)], (build) => [null, build.scalar(0.33)]),
    {
      inputs: [dims(2, 6), { dims: [], low: -0.6, high: -0.4 }, { dims: [], low: 0.5, high: 0.6 }],
      build: (build, x) => build.op('Clip', x),
    },
  ],

  MatMul: [
    apply('MatMul', [dims(3, 4), dims(4, 2)]),
    apply('MatMul', [dims(2, 3, 4), dims(4, 2)]),
    apply('MatMul', [dims(2, 2, 3, 4), dims(2, 2, 4, 2)]),
    apply('MatMul', [dims(2, 1, 3, 4), dims(3, 4, 2)]),
    apply('MatMul', [dims(4), dims(4, 2)]),
    apply('MatMul', [dims(2, 3, 4), dims(4)]),
    apply('MatMul', [dims(4), dims(2, 4, 3)]),
    apply('MatMul', [dims(4), dims(4)]),
  ],
  FusedMatMul: [
    ...transposing('FusedMatMul'),
    apply('FusedMatMul', [dims(2, 2, 3, 4), dims(2, 2, 5, 4)], { transB: 1, alpha: float(0.25) }),
    apply('FusedMatMul', [dims(2, 3, 4), dims(4, 2)], { alpha: float(3) }),
  ],
  Gemm: [
    ...transposing('Gemm'),
    apply('Gemm', [dims(2, 3), dims(3, 4), dims(4)], { beta: float(0.5) }),
    apply('Gemm', [dims(2, 3), dims(3, 4), dims(2, 1)]),
    apply('Gemm', [dims(2, 3), dims(4, 3), dims(1, 4)], { transB: 1 }),
  ],
  Softmax: [apply('Softmax', [dims(3, 4)]), apply('Softmax', [dims(2, 3, 4)], { axis: 1 })],
  LogSoftmax: [apply('LogSoftmax', [dims(3, 4)]), apply('LogSoftmax', [dims(2, 3, 4)], { axis: 1 })],
  LayerNormalization: [
    apply('LayerNormalization', [dims(2, 3, 4), dims(4), dims(4)], { epsilon: float(1e-5) }),
    apply('LayerNormalization', [dims(3, 6), dims(6)]),
    apply('LayerNormalization', [dims(2, 3, 4), dims(3, 4), dims(3, 4)], { axis: 1 }),
  ],

  ReduceSum: [...reduction('ReduceSum'), apply('ReduceSum', [dims(2, 3)], { noop_with_empty_axes: 1 })],
  ReduceMean: [...reduction('ReduceMean'), attributeReduction('ReduceMean')],
  ReduceMax: [...reduction('ReduceMax'), attributeReduction('ReduceMax')],
  ReduceMin: reduction('ReduceMin'),
  ReduceL2: reduction('ReduceL2'),
  ReduceSumSquare: reduction('ReduceSumSquare'),
  ReduceLogSumExp: reduction('ReduceLogSumExp'),

  Reshape: [withConstants('Reshape', [dims(2, 3, 4)], (build) => [build.int64s([0, -1])])],
  Flatten: [apply('Flatten', [dims(2, 3, 4)], { axis: 2 })],
  Squeeze: [withConstants('Squeeze', [dims(2, 1, 3)], (build) => [build.int64s([1])])],
  Unsqueeze: [withConstants('Unsqueeze', [dims(2, 3)], (build) => [build.int64s([0, -1])])],
  Transpose: [apply('Transpose', [dims(2, 3, 4)], { perm: [1, 2, 0] }), apply('Transpose', [dims(2, 3)])],
  Expand: [
    withConstants('Expand', [dims(3, 1)], (build) => [build.int64s([2, 1, 4])]),
    withConstants('Expand', [dims(2, 3)], (build) => [build.int64s([1])]),
  ],
  Tile: [withConstants('Tile', [dims(2, 3)], (build) => [build.int64s([2, 3])])],
  Concat: [
    apply('Concat', [dims(2, 2), dims(2, 3)], { axis: 1 }),
    {
      inputs: [dims(2, 2)],
      build: (build, x) => build.op('Concat', [build.constant(Tensor.float32([1, 2], [1, 2])), ...x], { axis: 0 }),
    },
  ],
  Split: [
    { inputs: [dims(2, 5)], build: (build, x) => build.ops('Split', [x[0], build.int64s([2, 3])], { axis: 1 }, 2) },
    // The first part is not used: its gradient is zero.
    { inputs: [dims(2, 4)], build: (build, x) => build.ops('Split', [x[0]], { axis: 1, num_outputs: 2 }, 2)[1] },
  ],
  Slice: [
    withConstants('Slice', [dims(4, 5)], (build) => [build.int64s([1, 0]), build.int64s([3, 4])]),
    withConstants('Slice', [dims(4, 5)], (build) => [build.int64s([-2]), build.int64s([99]), build.int64s([1])]),
    withConstants('Slice', [dims(5, 4)], (build) => [
      build.int64s([4, 1]),
      build.int64s([-99, 4]),
      build.int64s([0, 1]),
      build.int64s([-2, 1]),
    ]),
  ],
  Pad: [
    withConstants('Pad', [dims(2, 3)], (build) => [build.int64s([1, 0, 0, 2])]),
    withConstants('Pad', [dims(2, 4)], (build) => [build.int64s([1, -1]), build.scalar(3), build.int64s([1])]),
  ],

  Gather: [
    withConstants('Gather', [dims(5, 3)], (build) => [int64(build, [2, 2], [1, 4, 1, -1])]),
    withConstants('Gather', [dims(2, 5, 3)], (build) => [int64(build, [2], [3, 3])], { axis: 1 }),
    withConstants('Gather', [dims(2, 5, 3)], (build) => [int64(build, [], [-1])], { axis: 1 }),
  ],
  GatherElements: [
    withConstants('GatherElements', [dims(3, 4)], (build) => [int64(build, [3, 2], [0, 0, 3, 1, 2, 2])], { axis: 1 }),
  ],
  GatherND: [
    withConstants('GatherND', [dims(3, 4)], (build) => [int64(build, [3, 2], [0, 1, 2, 3, 0, 1])]),
    withConstants('GatherND', [dims(3, 4)], (build) => [int64(build, [2, 1], [2, 0])]),
  ],
  ScatterND: [
    {
      inputs: [dims(4, 3), dims(2, 3)],
      build: (build, [x, u]) => build.op('ScatterND', [x, int64(build, [2, 1], [3, 1]), u]),
    },
    {
      inputs: [dims(4, 3), dims(2, 3)],
      build: (build, [x, u]) => build.op('ScatterND', [x, int64(build, [2, 1], [1, 1]), u], { reduction: 'add' }),
    },
  ],
  ScatterElements: [
    {
      inputs: [dims(2, 4), dims(2, 2)],
      build: (build, [x, u]) => build.op('ScatterElements', [x, int64(build, [2, 2], [0, 3, 2, 1]), u], { axis: 1 }),
    },
    {
      inputs: [dims(2, 4), dims(2, 2)],
      build: (build, [x, u]) =>
        build.op('ScatterElements', [x, int64(build, [2, 2], [0, 0, 2, 1]), u], { axis: 1, reduction: 'add' }),
    },
  ],
  TopK: [{ inputs: [dims(3, 5)], build: (build, x) => build.ops('TopK', [x[0], build.int64s([2])], {}, 2)[0] }],
  CumSum: [
    withConstants('CumSum', [dims(2, 4)], (build) => [build.scalar(1, 'int64')]),
    withConstants('CumSum', [dims(2, 4)], (build) => [build.scalar(1, 'int64')], { exclusive: 1, reverse: 1 }),
  ],
  Trilu: [
    apply('Trilu', [dims(3, 4)], { upper: 0 }),
    withConstants('Trilu', [dims(2, 3, 3)], (build) => [build.scalar(1, 'int64')]),
  ],

  Conv: [
    apply('Conv', [dims(2, 3, 7), dims(4, 3, 3), dims(4)], { pads: [1, 1] }),
    apply('Conv', [dims(2, 2, 8), dims(3, 2, 3)], { strides: [2] }),
    apply('Conv', [dims(1, 2, 9), dims(2, 2, 2)], { dilations: [3], pads: [0, 2] }),
    apply('Conv', [dims(1, 2, 5, 4), dims(2, 2, 3, 2), dims(2)], { auto_pad: 'SAME_UPPER' }),
  ],
  MaxPool: [
    apply('MaxPool', [dims(2, 2, 6)], { kernel_shape: [2], strides: [2] }),
    apply('MaxPool', [dims(1, 2, 6)], { kernel_shape: [3], pads: [1, 1] }),
  ],
  AveragePool: [
    apply('AveragePool', [dims(2, 2, 6)], { kernel_shape: [2], strides: [2] }),
    apply('AveragePool', [dims(1, 2, 7)], { kernel_shape: [3], strides: [2], pads: [1, 0] }),
    apply('AveragePool', [dims(1, 2, 4, 5)], { kernel_shape: [2, 3], pads: [1, 1, 0, 0], count_include_pad: 1 }),
  ],
  GlobalAveragePool: unary('GlobalAveragePool', dims(2, 3, 4)),
  GlobalMaxPool: unary('GlobalMaxPool', dims(2, 3, 4)),
};
