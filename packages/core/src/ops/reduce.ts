/** @file Reductions over axes. */
import { isFloat, sizeOf } from '../graph';
import type { Dim, Node, Shape, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { constantOf } from './constant-value';
import { fromNumbers, indicesOf, numbersOf, offsetOf, stridesOf } from './elements';
import { perInput } from './flops';
import { reduceSum, reshape } from './gradient';
import type { GradRule, OpRule } from './rule';
import { dtypeError, normalizeAxis, staticShape, unsupportedForm } from './shapes';

/**
 * Axes that a reduction sums over: an input since opset 18 (ReduceSum: 13), an attribute before. All of them when none
 * are given, unless `noop_with_empty_axes`.
 */
function reductionAxes(node: Node, rank: number): readonly number[] {
  const input = node.inputs[1];
  const given = input ? constantOf(input)?.toNumbers() : node.attribute('axes', 'ints');
  if (input && !given) throw unsupportedForm(node, 'its axes are not constant.');
  if (given && given.length > 0) return given.map((axis) => normalizeAxis(node, axis, rank)).sort((a, b) => a - b);
  return node.attribute('noop_with_empty_axes', 'int', 0) === 1 ? [] : Array.from({ length: rank }, (_, axis) => axis);
}

/** What a reduction leaves of a shape; reduced axes stay as 1 or vanish. */
function reducedShape(shape: Shape, axes: readonly number[], keep: boolean): Shape {
  return shape.flatMap((dim, axis): Dim[] => (axes.includes(axis) ? (keep ? [1] : []) : [dim]));
}

/** dx from g and y with the reduced axes kept as 1; `count` is how many elements make one output. */
type Slope = (
  build: GraphBuilder,
  values: { g: Value; x: Value; y: Value; axes: readonly number[]; count: number },
) => Value;

const gradOf =
  (slope: Slope): GradRule =>
  ({ build, node, outputGrads }) => {
    const x = node.input(0);
    const dims = staticShape(x, node);
    const axes = reductionAxes(node, dims.length);
    const kept = reducedShape(dims, axes, true) as readonly number[];
    const g = reshape(build, outputGrads[0]!, kept);
    const y = reshape(build, node.output(), kept);
    const count = axes.reduce((product, axis) => product * dims[axis], 1);
    const gradient = slope(build, { g, x, y, axes, count });
    return [
      gradient.shape?.every((dim, i) => dim === dims[i])
        ? gradient
        : build.op('Expand', [gradient, build.int64s(dims)]),
    ];
  };

const mul = (build: GraphBuilder, a: Value, b: Value | number): Value =>
  build.op('Mul', [a, typeof b === 'number' ? build.scalar(b) : b]);

interface Reduction {
  /** The result for one list of elements. */
  readonly f: (values: readonly number[]) => number;
  readonly grad: Slope | 'forbidden';
  readonly floatOnly?: boolean;
}

const reduction = ({ f, grad, floatOnly = false }: Reduction): OpRule => ({
  infer: ({ node, type, shape }) => {
    const { dtype } = type(0);
    if (floatOnly && !isFloat(dtype)) throw dtypeError(node, `needs a floating-point input, got ${dtype}.`);
    const input = shape(0);
    const axes = reductionAxes(node, input.length);
    return [{ dtype, shape: reducedShape(input, axes, node.attribute('keepdims', 'int', 1) === 1) }];
  },
  grad: grad === 'forbidden' ? grad : gradOf(grad),
  flops: perInput(1),
  evaluate: (node, [x]) => {
    const { dims, dtype } = x!;
    const axes = reductionAxes(node, dims.length);
    const kept = reducedShape(dims, axes, true) as readonly number[];
    const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
    const groups: number[][] = Array.from({ length: sizeOf(kept) }, () => []);
    const values = numbersOf(x!);
    let position = 0;
    for (const index of indicesOf(dims)) groups[offsetOf(index, strides)].push(values[position++]);
    const shape = reducedShape(dims, axes, node.attribute('keepdims', 'int', 1) === 1) as readonly number[];
    return [fromNumbers(dtype, shape, groups.map(f))];
  },
});

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** The largest (or smallest) element takes the gradient; equal ones share it evenly. */
const extremumGrad: Slope = (build, { g, x, y, axes }) => {
  const mask = build.op('Cast', [build.op('Equal', [x, y])], { to: 1 });
  return mul(build, mask, build.op('Div', [g, reduceSum(build, mask, axes)]));
};

function logSumExp(values: readonly number[]): number {
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return Number.isFinite(top) ? top + Math.log(sum(values.map((value) => Math.exp(value - top)))) : top;
}

type ReduceOp =
  | 'ReduceSum'
  | 'ReduceMean'
  | 'ReduceMax'
  | 'ReduceMin'
  | 'ReduceProd'
  | 'ReduceL2'
  | 'ReduceSumSquare'
  | 'ReduceLogSumExp';

export const REDUCE_OPS: Readonly<Record<ReduceOp, OpRule>> = {
  ReduceSum: reduction({ f: sum, grad: (_, { g }) => g }),
  ReduceMean: reduction({
    f: (values) => sum(values) / values.length,
    grad: (build, { g, count }) => mul(build, g, 1 / count),
  }),
  ReduceMax: reduction({ f: (values) => values.reduce((a, b) => Math.max(a, b), -Infinity), grad: extremumGrad }),
  ReduceMin: reduction({ f: (values) => values.reduce((a, b) => Math.min(a, b), Infinity), grad: extremumGrad }),
  /** y / x is undefined where x is 0, and nothing we train uses a product: shape arithmetic only. */
  ReduceProd: reduction({ f: (values) => values.reduce((a, b) => a * b, 1), grad: 'forbidden' }),
  /** y = |x|_2: dx = g x / y, and 0 where y is 0 */
  ReduceL2: reduction({
    f: (values) => Math.sqrt(sum(values.map((value) => value * value))),
    grad: (build, { g, x, y }) => mul(build, x, build.op('Div', [g, build.op('Max', [y, build.scalar(1e-30)])])),
    floatOnly: true,
  }),
  ReduceSumSquare: reduction({
    f: (values) => sum(values.map((value) => value * value)),
    grad: (build, { g, x }) => mul(build, x, mul(build, g, 2)),
  }),
  /** y = log sum exp x: dx = g exp(x - y) */
  ReduceLogSumExp: reduction({
    f: logSumExp,
    grad: (build, { g, x, y }) => mul(build, build.op('Exp', [build.op('Sub', [x, y])]), g),
    floatOnly: true,
  }),
};
