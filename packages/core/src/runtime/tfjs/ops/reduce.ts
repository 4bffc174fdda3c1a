/** @file Ops that sum up along axes. */
import type { Call, TfjsOp } from '../call';
import { axisOf, refuse } from '../call';
import type { Tf, TfTensor } from '../library';

/** Axes are an input since opset 13 (ReduceSum) or 18 (the others), an attribute before. */
function axesOf({ node, x, optional, numbers }: Call): number[] | undefined {
  const given = optional(1) ? numbers(1) : [...node.attribute('axes', 'ints', [])];
  if (given.length > 0) return given;
  if (node.attribute('noop_with_empty_axes', 'int', 0) === 1) return undefined;
  return x(0).shape.map((_, axis) => axis);
}

const reduction =
  (f: (tf: Tf, x: TfTensor, axes: number[], keepDims: boolean) => TfTensor): TfjsOp =>
  (call) => {
    const axes = axesOf(call);
    return axes ? f(call.tf, call.x(0), axes, call.node.attribute('keepdims', 'int', 1) === 1) : call.x(0);
  };

/** Softmax along any axis, shifted by the maximum: TensorFlow.js has it for the last axis only. */
function softmax({ tf, node, x }: Call): { exponentials: TfTensor; shifted: TfTensor; sum: TfTensor } {
  const input = x(0);
  const axis = axisOf(node.attribute('axis', 'int', -1), input.rank);
  const shifted = tf.sub(input, tf.max(input, axis, true));
  const exponentials = tf.exp(shifted);
  return { exponentials, shifted, sum: tf.sum(exponentials, axis, true) };
}

const Softmax: TfjsOp = (call) => {
  const { exponentials, sum } = softmax(call);
  return call.tf.div(exponentials, sum);
};

const LogSoftmax: TfjsOp = (call) => {
  const { shifted, sum } = softmax(call);
  return call.tf.sub(shifted, call.tf.log(sum));
};

/** Outputs: the normalised tensor, the mean and the inverse standard deviation. */
const LayerNormalization: TfjsOp = ({ tf, node, x, optional }) => {
  const input = x(0);
  const first = axisOf(node.attribute('axis', 'int', -1), input.rank);
  const axes = input.shape.map((_, axis) => axis).slice(first);
  const { mean, variance } = tf.moments(input, axes, true);
  const inverse = tf.rsqrt(tf.add(variance, node.attribute('epsilon', 'float', 1e-5)));
  const scaled = tf.mul(tf.mul(tf.sub(input, mean), inverse), x(1));
  const bias = optional(2);
  return [bias ? tf.add(scaled, bias) : scaled, mean, inverse];
};

const ArgMax: TfjsOp = (call) => {
  const { tf, node, x } = call;
  if (node.attribute('select_last_index', 'int', 0) === 1)
    refuse(call, 'it always selects the first of equal elements');
  const axis = axisOf(node.attribute('axis', 'int', 0), x(0).rank);
  const index = tf.argMax(x(0), axis);
  return node.attribute('keepdims', 'int', 1) === 1 ? tf.expandDims(index, axis) : index;
};

/** Outputs: the elements and their positions. TensorFlow.js selects the largest along the last axis. */
const TopK: TfjsOp = ({ tf, node, x, numbers }) => {
  const input = x(0);
  const axis = axisOf(node.attribute('axis', 'int', -1), input.rank);
  const swapped = input.shape.map((_, i) => i);
  [swapped[axis], swapped[input.rank - 1]] = [input.rank - 1, axis];
  const sign = node.attribute('largest', 'int', 1) === 1 ? 1 : -1;
  const { values, indices } = tf.topk(tf.transpose(tf.mul(input, sign), swapped), numbers(1)[0]);
  return [tf.transpose(tf.mul(values, sign), swapped), tf.transpose(indices, swapped)];
};

const CumSum: TfjsOp = ({ tf, node, x, numbers }) =>
  tf.cumsum(
    x(0),
    axisOf(numbers(1)[0], x(0).rank),
    node.attribute('exclusive', 'int', 0) === 1,
    node.attribute('reverse', 'int', 0) === 1,
  );

export const REDUCING = {
  ReduceSum: reduction((tf, x, axes, keepDims) => tf.sum(x, axes, keepDims)),
  ReduceMean: reduction((tf, x, axes, keepDims) => tf.mean(x, axes, keepDims)),
  ReduceMax: reduction((tf, x, axes, keepDims) => tf.max(x, axes, keepDims)),
  ReduceMin: reduction((tf, x, axes, keepDims) => tf.min(x, axes, keepDims)),
  ReduceProd: reduction((tf, x, axes, keepDims) => tf.prod(x, axes, keepDims)),
  ReduceL2: reduction((tf, x, axes, keepDims) => tf.sqrt(tf.sum(tf.square(x), axes, keepDims))),
  ReduceSumSquare: reduction((tf, x, axes, keepDims) => tf.sum(tf.square(x), axes, keepDims)),
  ReduceLogSumExp: reduction((tf, x, axes, keepDims) => tf.logSumExp(x, axes, keepDims)),
  Softmax,
  LogSoftmax,
  LayerNormalization,
  ArgMax,
  TopK,
  CumSum,
} satisfies Record<string, TfjsOp>;
