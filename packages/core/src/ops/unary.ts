/** @file y = f(x), element by element. */
import { isFloat } from '../graph';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { mapElements } from './elements';
import { perOutput } from './flops';
import { scaled } from './product';
import type { GradRule, OpRule } from './rule';
import { dtypeError } from './shapes';

/** dx, given g = dLoss/dy. */
type Derivative = (build: GraphBuilder, values: { g: Value; x: Value; y: Value }) => Value;

const gradOf =
  (derivative: Derivative): GradRule =>
  ({ build, node, outputGrads }) => [derivative(build, { g: outputGrads[0]!, x: node.input(0), y: node.output() })];

/** An op whose output has the type of its input. */
const unary = (f: (x: number) => number, derivative: Derivative | 'none', flops = 1): OpRule => ({
  infer: (context) => [context.type(0)],
  grad: derivative === 'none' ? 'none' : gradOf(derivative),
  flops: perOutput(flops),
  evaluate: (_, [x]) => [mapElements(x!.dtype, [x!], f)],
});

/** As `unary`, for ops that are defined on floating-point numbers only. */
const floatUnary = (f: (x: number) => number, derivative: Derivative | 'none', flops = 1): OpRule => ({
  ...unary(f, derivative, flops),
  infer: (context) => {
    const type = context.type(0);
    if (!isFloat(type.dtype)) throw dtypeError(context.node, `needs a floating-point input, got ${type.dtype}.`);
    return [type];
  },
});

/** A predicate: bool output, no gradient. */
const predicate = (f: (x: number) => boolean): OpRule => ({
  infer: (context) => [{ dtype: 'bool', shape: context.type(0).shape }],
  grad: 'none',
  evaluate: (_, [x]) => [mapElements('bool', [x!], (v) => Number(f(v)))],
});

/** Rounds half to even, as ONNX does. */
function roundHalfEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Abramowitz and Stegun 7.1.26 is too coarse here: the series and continued fraction below reach float64 precision. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    // erf(x) = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  // erfc(a) = exp(-a^2)/sqrt(pi) / (a + (1/2)/(a + 1/(a + (3/2)/(a + ...))))
  let fraction = a;
  for (let k = 60; k > 0; k--) fraction = a + k / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
}

const mul = (build: GraphBuilder, a: Value, b: Value | number): Value =>
  build.op('Mul', [a, typeof b === 'number' ? build.scalar(b) : b]);

/** g (1 - y^2), the derivative through tanh. */
const throughTanh: Derivative = (build, { g, y }) => build.op('Sub', [g, mul(build, mul(build, g, y), y)]);

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

/**
 * d gelu(x) = cdf(x) + x pdf(x) = (1 + erf(u) + (2 / sqrt pi) u / exp(u^2)) / 2 with u = x / sqrt 2. After the matrix
 * products these are the dearest passes of a training step. Dividing by exp(u^2) saves a negation (where that overflows
 * the quotient is 0 as it should be), and the factor 1/2 goes into the product that made g.
 */
const geluErfGrad: Derivative = (build, { g, x }) => {
  const half = scaled(build, g, 0.5);
  const u = mul(build, x, Math.SQRT1_2);
  const bump = mul(build, build.op('Div', [u, build.op('Exp', [mul(build, u, u)])]), 2 / Math.sqrt(Math.PI));
  const twice = build.op('Add', [build.op('Add', [build.op('Erf', [u]), build.scalar(1)]), bump]);
  return mul(build, twice, half);
};

/**
 * gelu(x) = x s with s = sigmoid(v), v = 2 sqrt(2 / pi) (x + 0.044715 x^3), because (1 + tanh z) / 2 = sigmoid(2 z).
 * d gelu(x) = s + s (1 - s) x dv/dx, and x dv/dx = 3 v - 4 sqrt(2 / pi) x.
 */
const geluTanhGrad: Derivative = (build, { g, x }) => {
  const cubic = mul(build, mul(build, x, x), 2 * SQRT_2_OVER_PI * 0.044715);
  const v = mul(build, build.op('Add', [cubic, build.scalar(2 * SQRT_2_OVER_PI)]), x);
  const s = build.op('Sigmoid', [v]);
  const slope = build.op('Sub', [mul(build, v, 3), mul(build, x, 4 * SQRT_2_OVER_PI)]);
  const gs = mul(build, g, s);
  const rest = build.op('Sub', [gs, mul(build, gs, s)]);
  return build.op('Add', [gs, mul(build, rest, slope)]);
};

const gelu: OpRule = {
  ...floatUnary((x) => (x * (1 + erf(x * Math.SQRT1_2))) / 2, 'none'),
  flops: perOutput(8),
  grad: (context) =>
    gradOf(context.node.attribute('approximate', 'string', 'none') === 'tanh' ? geluTanhGrad : geluErfGrad)(context),
  evaluate: (node, [x]) => [
    mapElements(
      x!.dtype,
      [x!],
      node.attribute('approximate', 'string', 'none') === 'tanh'
        ? (v) => (v * (1 + Math.tanh(SQRT_2_OVER_PI * (v + 0.044715 * v ** 3)))) / 2
        : (v) => (v * (1 + erf(v * Math.SQRT1_2))) / 2,
    ),
  ],
};

const Identity: OpRule = {
  infer: (context) => [context.type(0)],
  grad: ({ outputGrads }) => outputGrads,
  evaluate: (_, [x]) => [x!],
};

type UnaryOp =
  | 'Identity'
  | 'Neg'
  | 'Abs'
  | 'Sign'
  | 'Floor'
  | 'Ceil'
  | 'Round'
  | 'Sqrt'
  | 'Exp'
  | 'Log'
  | 'Sin'
  | 'Cos'
  | 'Reciprocal'
  | 'Erf'
  | 'Tanh'
  | 'Sigmoid'
  | 'Relu'
  | 'Softplus'
  | 'Gelu'
  | 'IsNaN'
  | 'Not';

export const UNARY_OPS: Readonly<Record<UnaryOp, OpRule>> = {
  Identity,
  Neg: unary(
    (x) => -x,
    (build, { g }) => build.op('Neg', [g]),
  ),
  Abs: unary(Math.abs, (build, { g, x }) => mul(build, g, build.op('Sign', [x]))),
  /** Constant almost everywhere. */
  Sign: unary(Math.sign, 'none'),
  Floor: floatUnary(Math.floor, 'none'),
  Ceil: floatUnary(Math.ceil, 'none'),
  /**
   * Straight-through: the true derivative is zero almost everywhere, which would stop quantization-aware training, so
   * the gradient of the identity is used instead (Bengio et al. 2013, arXiv:1308.3432).
   */
  Round: floatUnary(roundHalfEven, (_, { g }) => g),
  Sqrt: floatUnary(Math.sqrt, (build, { g, y }) => build.op('Div', [mul(build, g, 0.5), y]), 2),
  Exp: floatUnary(Math.exp, (build, { g, y }) => mul(build, g, y), 4),
  Log: floatUnary(Math.log, (build, { g, x }) => build.op('Div', [g, x]), 4),
  Sin: floatUnary(Math.sin, (build, { g, x }) => mul(build, g, build.op('Cos', [x])), 4),
  Cos: floatUnary(Math.cos, (build, { g, x }) => build.op('Neg', [mul(build, g, build.op('Sin', [x]))]), 4),
  Reciprocal: floatUnary(
    (x) => 1 / x,
    (build, { g, y }) => build.op('Neg', [mul(build, mul(build, g, y), y)]),
  ),
  /** d erf(x) = 2 / sqrt(pi) exp(-x^2) */
  Erf: floatUnary(
    erf,
    (build, { g, x }) =>
      mul(build, mul(build, build.op('Exp', [build.op('Neg', [mul(build, x, x)])]), 2 / Math.sqrt(Math.PI)), g),
    5,
  ),
  Tanh: floatUnary(Math.tanh, throughTanh, 5),
  /** dx = g y (1 - y) = gy - gy y */
  Sigmoid: floatUnary(
    (x) => 1 / (1 + Math.exp(-x)),
    (build, { g, y }) => {
      const gy = mul(build, g, y);
      return build.op('Sub', [gy, mul(build, gy, y)]);
    },
    5,
  ),
  Relu: unary(
    (x) => Math.max(x, 0),
    (build, { g, y }) => mul(build, g, build.op('Sign', [y])),
  ),
  Softplus: floatUnary(
    (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    (build, { g, x }) => mul(build, g, build.op('Sigmoid', [x])),
    6,
  ),
  Gelu: gelu,
  IsNaN: predicate(Number.isNaN),
  Not: predicate((x) => x === 0),
};
