/** @file z = f(x, y) with broadcasting. */
import { isFloat } from '../graph';
import type { DType, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { constantOf } from './constant-value';
import { mapElements } from './elements';
import { perOutput } from './flops';
import { unbroadcast } from './gradient';
import { scaled } from './product';
import type { GradContext, GradRule, InferContext, OpRule } from './rule';
import { broadcast, dtypeError } from './shapes';

/** Throws unless all inputs have the element type of the first; returns it. */
export function commonDtype(context: InferContext, indices: readonly number[]): DType {
  const { dtype } = context.type(indices[0]);
  for (const index of indices) {
    const other = context.type(index).dtype;
    if (other !== dtype) throw dtypeError(context.node, `mixes ${dtype} and ${other} inputs.`);
  }
  return dtype;
}

/** Gradient of one side before broadcasting is undone. */
type Side = (context: GradContext, g: Value) => Value;

/** Computes the wanted sides and sums each to the shape of its input. */
const sides =
  (...rules: readonly Side[]): GradRule =>
  (context) =>
    rules.map((side, index) =>
      context.wants(index)
        ? unbroadcast(context.build, side(context, context.outputGrads[0]!), context.node.input(index))
        : null,
    );

const binary = (f: (x: number, y: number, dtype: DType) => number, grad: GradRule | 'none'): OpRule => ({
  infer: (context) => [
    { dtype: commonDtype(context, [0, 1]), shape: broadcast(context.node, context.shape(0), context.shape(1)) },
  ],
  grad,
  flops: perOutput(1),
  evaluate: (_, [x, y]) => [mapElements(x!.dtype, [x!, y!], (a, b) => f(a, b, x!.dtype))],
});

/** A comparison or logical op: bool output, no gradient. */
const predicate = (f: (x: number, y: number) => boolean): OpRule => ({
  infer: (context) => {
    commonDtype(context, [0, 1]);
    return [{ dtype: 'bool', shape: broadcast(context.node, context.shape(0), context.shape(1)) }];
  },
  grad: 'none',
  evaluate: (_, [x, y]) => [mapElements('bool', [x!, y!], (a, b) => Number(f(a, b)))],
});

const passThrough: Side = (_, g) => g;

/** The number that a constant of one element holds. */
function scalarOf(value: Value): number | undefined {
  const constant = constantOf(value);
  return constant?.size === 1 ? constant.toNumbers()[0] : undefined;
}

/** g x, where a constant scalar x may go into the product that made g. */
function times(build: GraphBuilder, g: Value, x: Value): Value {
  const factor = scalarOf(x);
  return factor === undefined ? build.op('Mul', [g, x]) : scaled(build, g, factor);
}

/** Division of integers truncates. */
const divide = (x: number, y: number, dtype: DType): number => (isFloat(dtype) ? x / y : Math.trunc(x / y));

/** d(x^p)/dx = p x^(p-1), with the common exponents spelled out. */
const powBase: Side = ({ build, node }, g) => {
  const x = node.input(0);
  const power = scalarOf(node.input(1));
  if (power === 2) return build.op('Mul', [build.op('Mul', [g, x]), build.scalar(2)]);
  if (power !== undefined) {
    const slope = build.op('Mul', [build.op('Pow', [x, build.scalar(power - 1)]), build.scalar(power)]);
    return build.op('Mul', [g, slope]);
  }
  const p = node.input(1);
  const slope = build.op('Mul', [build.op('Pow', [x, build.op('Sub', [p, build.scalar(1)])]), p]);
  return build.op('Mul', [g, slope]);
};

/** d(x^p)/dp = x^p log x */
const powExponent: Side = ({ build, node }, g) =>
  build.op('Mul', [build.op('Mul', [g, node.output()]), build.op('Log', [node.input(0)])]);

/** The side that was chosen receives the gradient; at a tie the first input does. */
function chosen(comparison: 'GreaterOrEqual' | 'LessOrEqual', first: boolean): Side {
  return ({ build, node }, g) => {
    const isFirst = build.op(comparison, [node.input(0), node.input(1)]);
    return build.op('Where', first ? [isFirst, g, build.scalar(0)] : [isFirst, build.scalar(0), g]);
  };
}

/** Min and Max take any number of inputs; gradients are defined for one or two. */
function extremum(f: (...x: number[]) => number, comparison: 'GreaterOrEqual' | 'LessOrEqual'): OpRule {
  const twoSides = sides(chosen(comparison, true), chosen(comparison, false));
  return {
    infer: (context) => {
      const indices = context.node.inputs.map((_, index) => index);
      return [
        {
          dtype: commonDtype(context, indices),
          shape: indices.map(context.shape).reduce((a, b) => broadcast(context.node, a, b)),
        },
      ];
    },
    grad: (context) => {
      const { node } = context;
      if (node.inputs.length === 1) return context.outputGrads;
      if (node.inputs.length > 2) throw dtypeError(node, 'has more than two inputs; its gradient is not defined here.');
      return twoSides(context);
    },
    flops: perOutput(1),
    evaluate: (_, inputs) => [mapElements(inputs[0]!.dtype, inputs as NonNullable<(typeof inputs)[0]>[], f)],
  };
}

/** The exponent may have another element type. */
const Pow: OpRule = {
  ...binary((x, y) => x ** y, sides(powBase, powExponent)),
  infer: (context) => [
    { dtype: context.type(0).dtype, shape: broadcast(context.node, context.shape(0), context.shape(1)) },
  ],
};

type BinaryOp =
  | 'Add'
  | 'Sub'
  | 'Mul'
  | 'Div'
  | 'Pow'
  | 'Min'
  | 'Max'
  | 'Equal'
  | 'Greater'
  | 'GreaterOrEqual'
  | 'Less'
  | 'LessOrEqual'
  | 'And'
  | 'Or';

export const BINARY_OPS: Readonly<Record<BinaryOp, OpRule>> = {
  Add: binary((x, y) => x + y, sides(passThrough, passThrough)),
  Sub: binary(
    (x, y) => x - y,
    sides(passThrough, ({ build }, g) => build.op('Neg', [g])),
  ),
  Mul: binary(
    (x, y) => x * y,
    sides(
      ({ build, node }, g) => times(build, g, node.input(1)),
      ({ build, node }, g) => times(build, g, node.input(0)),
    ),
  ),
  /** z = x / y: dx = g / y, dy = -g z / y */
  Div: binary(
    divide,
    sides(
      ({ build, node }, g) => {
        const divisor = scalarOf(node.input(1));
        return divisor === undefined ? build.op('Div', [g, node.input(1)]) : scaled(build, g, 1 / divisor);
      },
      ({ build, node }, g) => build.op('Neg', [build.op('Div', [build.op('Mul', [g, node.output()]), node.input(1)])]),
    ),
  ),
  Pow,
  Min: extremum(Math.min, 'LessOrEqual'),
  Max: extremum(Math.max, 'GreaterOrEqual'),
  Equal: predicate((x, y) => x === y),
  Greater: predicate((x, y) => x > y),
  GreaterOrEqual: predicate((x, y) => x >= y),
  Less: predicate((x, y) => x < y),
  LessOrEqual: predicate((x, y) => x <= y),
  And: predicate((x, y) => x !== 0 && y !== 0),
  Or: predicate((x, y) => x !== 0 || y !== 0),
};
