/** @file Convolutions and pooling over one or two dimensions. TensorFlow.js has them for [N, H, W, C] only. */
import { windowOf as windowAttributes } from '../../../ops/window';
import type { Call, TfjsOp } from '../call';
import { refuse } from '../call';
import type { Tf, TfTensor } from '../library';

type Image = import('@tensorflow/tfjs-core').Tensor4D;
type Pair = [number, number];

/** A sliding window over the two dimensions of an image; one dimension counts as the second. */
interface Window {
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  /** Before and after, for each dimension. */
  readonly pads: readonly [Pair, Pair];
}

function windowOf(call: Call, kernelShape: readonly number[]): Window {
  const { node, x } = call;
  const rank = kernelShape.length;
  if (rank < 1 || rank > 2) refuse(call, `it slides over ${rank} dimensions`);
  if (node.attribute('ceil_mode', 'int', 0) !== 0) refuse(call, 'ceil_mode is not covered');
  const { strides, dilations, pads } = windowAttributes(node, kernelShape, x(0).shape.slice(2));
  const pair = (values: readonly number[], missing: number): Pair =>
    rank === 1 ? [missing, values[0]] : [values[0], values[1]];
  const [before, after] = [pair(pads.slice(0, rank), 0), pair(pads.slice(rank), 0)];
  return {
    kernel: pair(kernelShape, 1),
    strides: pair(strides, 1),
    dilations: pair(dilations, 1),
    pads: [
      [before[0], after[0]],
      [before[1], after[1]],
    ],
  };
}

/** [N, C, L] or [N, C, H, W] to [N, H, W, C]. */
const toImage = (tf: Tf, x: TfTensor): Image =>
  tf.transpose(x.rank === 3 ? tf.expandDims(x, 2) : x, [0, 2, 3, 1]) as Image;

const padded = (tf: Tf, image: Image, { pads }: Window, value: number): Image =>
  tf.pad(image, [[0, 0], ...pads, [0, 0]], value);

function fromImage(tf: Tf, image: TfTensor, rank: number): TfTensor {
  const planes = tf.transpose(image, [0, 3, 1, 2]);
  return rank === 3 ? tf.squeeze(planes, [2]) : planes;
}

/** A weight [O, I, ...kernel] as [H, W, I, O], with zeros between the taps where it is dilated. */
function filterOf(tf: Tf, weight: TfTensor, { kernel, dilations }: Window): Image {
  const [outputs, inputs] = weight.shape;
  const filter = tf.transpose(weight.rank === 3 ? tf.expandDims(weight, 2) : weight, [2, 3, 1, 0]);
  const apart = tf.reshape(filter, [kernel[0], 1, kernel[1], 1, inputs * outputs]);
  const zeros = dilations.map((step): Pair => [0, step - 1]);
  const spread = tf.pad(apart, [[0, 0], zeros[0], [0, 0], zeros[1], [0, 0]]);
  const joined = tf.reshape(spread, [kernel[0] * dilations[0], kernel[1] * dilations[1], inputs, outputs]);
  const reach = kernel.map((taps, i) => (taps - 1) * dilations[i] + 1);
  return tf.slice(joined, [0, 0, 0, 0], [reach[0], reach[1], inputs, outputs]) as Image;
}

/** Applies `f` to each group of channels and filters. */
function grouped({ tf, node }: Call, image: Image, filter: Image, f: (image: Image, filter: Image) => Image): Image {
  const groups = node.attribute('group', 'int', 1);
  const filters = tf.split<Image>(filter, groups, 3);
  return tf.concat(
    tf.split<Image>(image, groups, 3).map((part, i) => f(part, filters[i])),
    3,
  );
}

const Conv: TfjsOp = (call) => {
  const { tf, x, optional } = call;
  const window = windowOf(call, x(1).shape.slice(2));
  const image = padded(tf, toImage(tf, x(0)), window, 0);
  const result = grouped(call, image, filterOf(tf, x(1), window), (part, filter) =>
    tf.conv2d(part, filter, window.strides, 'valid'),
  );
  const bias = optional(2);
  return fromImage(tf, bias ? tf.add(result, bias) : result, x(0).rank);
};

/** The gradient of a convolution: the full result, cropped by the padding. */
const ConvTranspose: TfjsOp = (call) => {
  const { tf, node, x, optional } = call;
  if (node.attribute('output_shape', 'ints')) refuse(call, 'output_shape is not covered');
  if (node.attribute('auto_pad', 'string', 'NOTSET') !== 'NOTSET') refuse(call, 'auto_pad is not covered');
  const window = windowOf(call, x(1).shape.slice(2));
  const { strides, pads } = window;
  const image = toImage(tf, x(0));
  const filter = filterOf(tf, x(1), window);
  const full = [0, 1].map((i) => (image.shape[i + 1] - 1) * strides[i] + filter.shape[i]);
  const result = grouped(call, image, filter, (part, filter) =>
    tf.conv2dTranspose(part, filter, [part.shape[0], full[0], full[1], filter.shape[2]], strides, 'valid'),
  );

  const given = node.attribute('output_padding', 'ints', [0, 0]);
  const extra = given.length === 1 ? [0, given[0]] : given;
  const longer = tf.pad(result, [
    [0, 0],
    [0, extra[0]],
    [0, extra[1]],
    [0, 0],
  ]);
  const kept = [0, 1].map((i) => full[i] + extra[i] - pads[i][0] - pads[i][1]);
  const [batch, , , channels] = longer.shape;
  const cropped = tf.slice(longer, [0, pads[0][0], pads[1][0], 0], [batch, kept[0], kept[1], channels]);
  const bias = optional(2);
  return fromImage(tf, bias ? tf.add(cropped, bias) : cropped, x(0).rank);
};

function poolingWindow(call: Call): Window {
  const window = windowOf(call, call.node.attribute('kernel_shape', 'ints', []));
  return window.dilations.every((step) => step === 1) ? window : refuse(call, 'dilated pooling is not covered');
}

/** Outputs: the maxima and, where asked for, their positions in the flattened [N, C, H, W] input. */
const MaxPool: TfjsOp = (call) => {
  const { tf, node, x } = call;
  const window = poolingWindow(call);
  const image = padded(tf, toImage(tf, x(0)), window, -Infinity);
  const { rank, shape } = x(0);
  if (node.outputs.length === 1) return fromImage(tf, tf.maxPool(image, window.kernel, window.strides, 'valid'), rank);

  const { result, indexes } = tf.maxPoolWithArgmax(image, window.kernel, window.strides, 'valid');
  const [batch, , paddedWidth, channels] = image.shape;
  const [height, width]: Pair = rank === 3 ? [1, shape[2]!] : [shape[2]!, shape[3]!];
  // an index counts the elements of one padded [H, W, C] image
  const cell = tf.floorDiv(indexes, tf.scalar(channels, 'int32'));
  const row = tf.sub(tf.floorDiv(cell, tf.scalar(paddedWidth, 'int32')), tf.scalar(window.pads[0][0], 'int32'));
  const column = tf.sub(tf.mod(cell, tf.scalar(paddedWidth, 'int32')), tf.scalar(window.pads[1][0], 'int32'));
  const plane = tf.transpose(
    tf.reshape(tf.range(0, batch * channels, 1, 'int32'), [batch, channels, 1, 1]),
    [0, 2, 3, 1],
  );
  const inPlane = tf.add(tf.mul(row, tf.scalar(width, 'int32')), column);
  const positions = tf.add(tf.mul(plane, tf.scalar(height * width, 'int32')), inPlane);
  return [fromImage(tf, result, rank), fromImage(tf, positions, rank)];
};

/** The mean over what a window covers of the input; with `count_include_pad`, over the whole window. */
const AveragePool: TfjsOp = (call) => {
  const { tf, node, x } = call;
  const window = poolingWindow(call);
  const mean = (input: TfTensor): TfTensor =>
    tf.avgPool(padded(tf, toImage(tf, input), window, 0), window.kernel, window.strides, 'valid');
  const result = mean(x(0));
  const countsPads = node.attribute('count_include_pad', 'int', 0) === 1;
  return fromImage(tf, countsPads ? result : tf.div(result, mean(tf.onesLike(x(0)))), x(0).rank);
};

/** Axes of a [N, C, ...] tensor behind the channels. */
const spatial = (x: TfTensor): number[] => x.shape.map((_, axis) => axis).slice(2);

export const CONVOLUTION = {
  Conv,
  ConvTranspose,
  MaxPool,
  AveragePool,
  GlobalMaxPool: ({ tf, x }) => tf.max(x(0), spatial(x(0)), true),
  GlobalAveragePool: ({ tf, x }) => tf.mean(x(0), spatial(x(0)), true),
} satisfies Record<string, TfjsOp>;
