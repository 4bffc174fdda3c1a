/** @file Ops that work on each element alone, with numpy broadcasting. */
import { dtypeFromOnnx } from '../../../graph';
import type { TfjsOp } from '../call';
import { refuse } from '../call';
import { tfDType } from '../convert';
import type { Tf, TfTensor } from '../library';

const unary =
  (f: (tf: Tf, x: TfTensor) => TfTensor): TfjsOp =>
  ({ tf, x }) =>
    f(tf, x(0));

const binary =
  (f: (tf: Tf, a: TfTensor, b: TfTensor) => TfTensor): TfjsOp =>
  ({ tf, x }) =>
    f(tf, x(0), x(1));

/** Any number of inputs. */
const variadic =
  (f: (tf: Tf, a: TfTensor, b: TfTensor) => TfTensor): TfjsOp =>
  ({ tf, node, x }) =>
    node.inputs.map((_, index) => x(index)).reduce((a, b) => f(tf, a, b));

/** Integers are divided towards zero. */
function divide(tf: Tf, a: TfTensor, b: TfTensor): TfTensor {
  if (a.dtype === 'float32') return tf.div(a, b);
  const sign = tf.mul(tf.sign(a), tf.sign(b));
  return tf.cast(tf.mul(tf.floorDiv(tf.abs(a), tf.abs(b)), sign), 'int32');
}

/** x Phi(x), with Phi the normal distribution function or its tanh approximation. */
const Gelu: TfjsOp = ({ tf, node, x }) => {
  const input = x(0);
  const inner =
    node.attribute('approximate', 'string', 'none') === 'tanh'
      ? tf.tanh(tf.mul(tf.add(input, tf.mul(tf.pow(input, 3), 0.044715)), Math.sqrt(2 / Math.PI)))
      : tf.erf(tf.div(input, Math.SQRT2));
  return tf.mul(tf.mul(input, 0.5), tf.add(inner, 1));
};

const Clip: TfjsOp = ({ tf, x, optional }) => {
  const [low, high] = [optional(1), optional(2)];
  const raised = low ? tf.maximum(x(0), low) : x(0);
  return high ? tf.minimum(raised, high) : raised;
};

const Cast: TfjsOp = (call) => {
  const { tf, node, x } = call;
  const dtype = dtypeFromOnnx(node.attribute('to', 'int', 0));
  return dtype ? tf.cast(x(0), tfDType(dtype)) : refuse(call, 'its target type is not supported');
};

/** Kept elements are scaled by 1 / (1 - ratio). The second output says which were kept. */
const Dropout: TfjsOp = ({ tf, node, x, optional, numbers }) => {
  const input = x(0);
  const training = optional(2) ? numbers(2)[0] !== 0 : false;
  const ratio = optional(1) ? numbers(1)[0] : 0.5;
  if (!training || ratio === 0) return [input, tf.cast(tf.onesLike(input), 'bool')];
  const seed = node.attribute('seed', 'float');
  const kept = tf.greaterEqual(tf.randomUniform(input.shape, 0, 1, 'float32', seed), ratio);
  return [tf.div(tf.mul(input, tf.cast(kept, input.dtype)), 1 - ratio), kept];
};

export const ELEMENTWISE = {
  Identity: unary((_, x) => x),
  Neg: unary((tf, x) => tf.neg(x)),
  Abs: unary((tf, x) => tf.abs(x)),
  Sign: unary((tf, x) => tf.cast(tf.sign(x), x.dtype)),
  Floor: unary((tf, x) => tf.floor(x)),
  Ceil: unary((tf, x) => tf.ceil(x)),
  Round: unary((tf, x) => tf.round(x)),
  Sqrt: unary((tf, x) => tf.sqrt(x)),
  Exp: unary((tf, x) => tf.exp(x)),
  Log: unary((tf, x) => tf.log(x)),
  Sin: unary((tf, x) => tf.sin(x)),
  Cos: unary((tf, x) => tf.cos(x)),
  Reciprocal: unary((tf, x) => tf.reciprocal(x)),
  Erf: unary((tf, x) => tf.erf(x)),
  Tanh: unary((tf, x) => tf.tanh(x)),
  Sigmoid: unary((tf, x) => tf.sigmoid(x)),
  Relu: unary((tf, x) => tf.relu(x)),
  Softplus: unary((tf, x) => tf.softplus(x)),
  IsNaN: unary((tf, x) => tf.isNaN(x)),
  Not: unary((tf, x) => tf.logicalNot(x)),
  Gelu,
  Clip,
  Cast,
  Dropout,
  Add: binary((tf, a, b) => tf.add(a, b)),
  Sub: binary((tf, a, b) => tf.sub(a, b)),
  Mul: binary((tf, a, b) => tf.mul(a, b)),
  Div: binary(divide),
  Pow: binary((tf, a, b) => tf.pow(a, tf.cast(b, a.dtype))),
  Min: variadic((tf, a, b) => tf.minimum(a, b)),
  Max: variadic((tf, a, b) => tf.maximum(a, b)),
  Equal: binary((tf, a, b) => tf.equal(a, b)),
  Greater: binary((tf, a, b) => tf.greater(a, b)),
  GreaterOrEqual: binary((tf, a, b) => tf.greaterEqual(a, b)),
  Less: binary((tf, a, b) => tf.less(a, b)),
  LessOrEqual: binary((tf, a, b) => tf.lessEqual(a, b)),
  And: binary((tf, a, b) => tf.logicalAnd(a, b)),
  Or: binary((tf, a, b) => tf.logicalOr(a, b)),
  Where: ({ tf, x }) => tf.where(x(0), x(1), x(2)),
} satisfies Record<string, TfjsOp>;
