/** @file Ops that move elements without computing, and constants. */
import { Tensor, sizeOf } from '../../../graph';
import type { Call, TfjsOp } from '../call';
import { axisOf, refuse } from '../call';
import { toTf } from '../convert';
import type { Tf, TfTensor } from '../library';

const Reshape: TfjsOp = ({ tf, node, x, numbers }) => {
  const copiesZero = node.attribute('allowzero', 'int', 0) === 0;
  const dims = numbers(1).map((dim, axis) => (dim === 0 && copiesZero ? x(0).shape[axis] : dim));
  return tf.reshape(x(0), dims);
};

const Flatten: TfjsOp = ({ tf, node, x }) => {
  const { shape, rank } = x(0);
  const axis = axisOf(node.attribute('axis', 'int', 1), rank);
  return tf.reshape(x(0), [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))]);
};

const Squeeze: TfjsOp = ({ tf, x, optional, numbers }) =>
  tf.squeeze(x(0), optional(1) ? numbers(1).map((axis) => axisOf(axis, x(0).rank)) : undefined);

const Unsqueeze: TfjsOp = ({ tf, x, numbers }) => {
  const axes = numbers(1);
  const dims = [...x(0).shape];
  const sorted = axes.map((axis) => axisOf(axis, dims.length + axes.length)).sort((a, b) => a - b);
  for (const axis of sorted) dims.splice(axis, 0, 1);
  return tf.reshape(x(0), dims);
};

const Transpose: TfjsOp = ({ tf, node, x }) => {
  const reversed = x(0).shape.map((_, axis) => x(0).rank - 1 - axis);
  return tf.transpose(x(0), [...node.attribute('perm', 'ints', reversed)]);
};

/** Broadcasting works both ways: the input may be larger than the requested shape. */
const Expand: TfjsOp = ({ tf, x, numbers }) =>
  tf.broadcastTo(x(0), tf.broadcast_util.assertAndGetBroadcastShape(x(0).shape, numbers(1)));

const Concat: TfjsOp = ({ tf, node, x }) =>
  tf.concat(
    node.inputs.map((_, index) => x(index)),
    axisOf(node.attribute('axis', 'int', 0), x(0).rank),
  );

/** Sizes are an input, or equal parts of which the last may be smaller. */
const Split: TfjsOp = ({ tf, node, x, optional, numbers }) => {
  const axis = axisOf(node.attribute('axis', 'int', 0), x(0).rank);
  const whole = x(0).shape[axis];
  const part = Math.ceil(whole / node.outputs.length);
  const sizes = optional(1) ? numbers(1) : node.outputs.map((_, i) => Math.min(part, whole - i * part));
  return tf.split(x(0), sizes, axis);
};

/** Slices one axis after the other; steps other than 1 gather. */
const Slice: TfjsOp = ({ tf, x, optional, numbers }) => {
  const [starts, ends] = [numbers(1), numbers(2)];
  const axes = optional(3) ? numbers(3) : starts.map((_, i) => i);
  const steps = optional(4) ? numbers(4) : starts.map(() => 1);
  return axes.reduce(
    (sliced, axis, i) => sliceAxis(tf, sliced, axisOf(axis, sliced.rank), starts[i], ends[i], steps[i]),
    x(0),
  );
};

function sliceAxis(tf: Tf, x: TfTensor, axis: number, start: number, end: number, step: number): TfTensor {
  const size = x.shape[axis];
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const bound = (at: number): number => Math.min(high, Math.max(low, at < 0 ? at + size : at));
  const first = Math.max(0, bound(start));
  const length = Math.max(0, Math.ceil((bound(end) - first) / step));
  if (step !== 1) return tf.gather(x, tf.range(first, first + length * step, step, 'int32'), axis);
  const begin = x.shape.map((_, i) => (i === axis ? first : 0));
  return tf.slice(
    x,
    begin,
    x.shape.map((dim, i) => (i === axis ? length : dim)),
  );
}

const Pad: TfjsOp = (call) => {
  const { tf, node, x, optional, numbers } = call;
  if (node.attribute('mode', 'string', 'constant') !== 'constant') refuse(call, 'only constant padding is covered');
  const { rank } = x(0);
  const axes = optional(3) ? numbers(3).map((axis) => axisOf(axis, rank)) : x(0).shape.map((_, axis) => axis);
  const pads = numbers(1);
  const paddings = x(0).shape.map((): [number, number] => [0, 0]);
  axes.forEach((axis, i) => (paddings[axis] = [pads[i], pads[i + axes.length]]));
  const filled = paddings.map(([before, after]): [number, number] => [Math.max(0, before), Math.max(0, after)]);
  const padded = tf.pad(x(0), filled, optional(2) ? numbers(2)[0] : 0);
  // negative padding cuts off
  const begin = paddings.map(([before]) => Math.max(0, -before));
  return tf.slice(
    padded,
    begin,
    padded.shape.map((dim, axis) => dim - begin[axis] - Math.max(0, -paddings[axis][1])),
  );
};

/** Keeps what lies on or below (`upper`: on or above) the k-th diagonal of each matrix. */
const Trilu: TfjsOp = ({ tf, node, x, optional, numbers }) => {
  const [rows, columns] = x(0).shape.slice(-2);
  const diagonal = tf.scalar(optional(1) ? numbers(1)[0] : 0, 'int32');
  const offset = tf.sub(tf.range(0, columns, 1, 'int32'), tf.expandDims(tf.range(0, rows, 1, 'int32'), 1));
  const upper = node.attribute('upper', 'int', 1) === 1;
  const kept = upper ? tf.greaterEqual(offset, diagonal) : tf.lessEqual(offset, diagonal);
  return tf.where(kept, x(0), tf.zerosLike(x(0)));
};

const Constant: TfjsOp = (call) => {
  const { tf, node } = call;
  const [int, ints] = [node.attribute('value_int', 'int'), node.attribute('value_ints', 'ints')];
  const [float, floats] = [node.attribute('value_float', 'float'), node.attribute('value_floats', 'floats')];
  const tensor =
    node.attribute('value', 'tensor') ??
    (int === undefined ? undefined : Tensor.scalar(int, 'int64')) ??
    (ints && Tensor.int64([ints.length], ints)) ??
    (float === undefined ? undefined : Tensor.scalar(float)) ??
    (floats && Tensor.float32([floats.length], floats));
  return tensor ? toTf(tf, tensor) : refuse(call, 'it holds no numbers');
};

const ConstantOfShape: TfjsOp = ({ tf, node, numbers }) => {
  const value = toTf(tf, node.attribute('value', 'tensor') ?? Tensor.float32([1], [0]));
  return tf.broadcastTo(tf.reshape(value, []), numbers(0));
};

const Range: TfjsOp = ({ tf, x, numbers }) => {
  const [start, limit, step] = [0, 1, 2].map((index) => numbers(index)[0]);
  const length = Math.max(0, Math.ceil((limit - start) / step));
  const type = x(0).dtype === 'float32' ? 'float32' : 'int32';
  return tf.add(tf.mul(tf.range(0, length, 1, type), tf.scalar(step, type)), tf.scalar(start, type));
};

const dimensions = ({ node, x }: Call): number[] =>
  x(0).shape.slice(node.attribute('start', 'int', 0), node.attribute('end', 'int'));

export const LAYOUT = {
  Reshape,
  Flatten,
  Squeeze,
  Unsqueeze,
  Transpose,
  Expand,
  Tile: ({ tf, x, numbers }) => tf.tile(x(0), numbers(1)),
  Concat,
  Split,
  Slice,
  Pad,
  Trilu,
  Constant,
  ConstantOfShape,
  Range,
  Shape: (call) => call.tf.tensor1d(dimensions(call), 'int32'),
  Size: ({ tf, x }) => tf.scalar(x(0).size, 'int32'),
} satisfies Record<string, TfjsOp>;
