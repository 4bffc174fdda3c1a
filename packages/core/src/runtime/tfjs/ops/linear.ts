/** @file Products, convolutions and pooling. */
import type { Call, TfjsOp } from '../call';
import { refuse } from '../call';
import type { Tf, TfTensor } from '../library';

/** Matrix product with numpy's rules: vectors are padded to matrices, batch dimensions broadcast. */
function product(tf: Tf, a: TfTensor, b: TfTensor, transposeA = false, transposeB = false): TfTensor {
  const left = a.rank === 1 ? tf.expandDims(a, 0) : a;
  const right = b.rank === 1 ? tf.expandDims(b, 1) : b;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const spread = (x: TfTensor): TfTensor => tf.broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
  const result = tf.matMul(spread(left), spread(right), transposeA, transposeB);
  const dims = result.shape.filter(
    (_, axis) => !(a.rank === 1 && axis === batch.length) && !(b.rank === 1 && axis === batch.length + 1),
  );
  return tf.reshape(result, dims);
}

const flag = ({ node }: Call, name: string): boolean => node.attribute(name, 'int', 0) === 1;

const FusedMatMul: TfjsOp = (call) => {
  const { tf, node, x } = call;
  if (flag(call, 'transBatchA') || flag(call, 'transBatchB')) refuse(call, 'batch transposition is not covered');
  const result = product(tf, x(0), x(1), flag(call, 'transA'), flag(call, 'transB'));
  return tf.mul(result, node.attribute('alpha', 'float', 1));
};

/** alpha A B + beta C */
const Gemm: TfjsOp = (call) => {
  const { tf, node, x, optional } = call;
  const result = tf.mul(
    product(tf, x(0), x(1), flag(call, 'transA'), flag(call, 'transB')),
    node.attribute('alpha', 'float', 1),
  );
  const c = optional(2);
  return c ? tf.add(result, tf.mul(c, node.attribute('beta', 'float', 1))) : result;
};

/** Geometry of a convolution or pooling over one or two dimensions, written as two. */
interface Window {
  readonly kernel: [number, number];
  readonly strides: [number, number];
  readonly dilations: [number, number];
  /** Before and after, for each of the two dimensions. */
  readonly pads: readonly [[number, number], [number, number]];
}

function windowOf(call: Call, kernelShape: readonly number[]): Window {
  const { node } = call;
  const rank = kernelShape.length;
  if (rank < 1 || rank > 2) refuse(call, `it slides over ${rank} dimensions`);
  const autoPad = node.attribute('auto_pad', 'string', 'NOTSET');
  if (autoPad !== 'NOTSET' && autoPad !== 'VALID') refuse(call, `auto_pad ${autoPad} is not covered`);
  if (node.attribute('ceil_mode', 'int', 0) !== 0) refuse(call, 'ceil_mode is not covered');
  const pair = (values: readonly number[], front: number): [number, number] =>
    rank === 1 ? [front, values[0]] : [values[0], values[1]];
  const pads = node.attribute('pads', 'ints', Array<number>(2 * rank).fill(0));
  const [before, after] = [pair(pads.slice(0, rank), 0), pair(pads.slice(rank), 0)];
  const ones = kernelShape.map(() => 1);
  return {
    kernel: pair(kernelShape, 1),
    strides: pair(node.attribute('strides', 'ints', ones), 1),
    dilations: pair(node.attribute('dilations', 'ints', ones), 1),
    pads: [
      [before[0], after[0]],
      [before[1], after[1]],
    ],
  };
}

type Image = import('@tensorflow/tfjs-core').Tensor4D;

/** [N, C, L] or [N, C, H, W] to [N, H, W, C], with the window's padding. */
function toImage(tf: Tf, x: TfTensor, { pads }: Window, padding: number): Image {
  const planes = x.rank === 3 ? tf.expandDims(x, 2) : x;
  return tf.pad(tf.transpose(planes, [0, 2, 3, 1]) as Image, [[0, 0], ...pads, [0, 0]], padding);
}

function fromImage(tf: Tf, image: TfTensor, rank: number): TfTensor {
  const planes = tf.transpose(image, [0, 3, 1, 2]);
  return rank === 3 ? tf.squeeze(planes, [2]) : planes;
}

const Conv: TfjsOp = (call) => {
  const { tf, node, x, optional } = call;
  const [input, weight] = [x(0), x(1)];
  const window = windowOf(call, weight.shape.slice(2));
  const groups = node.attribute('group', 'int', 1);
  const filter = tf.transpose(weight.rank === 3 ? tf.expandDims(weight, 2) : weight, [2, 3, 1, 0]) as Image;
  const filters = tf.split<Image>(filter, groups, 3);
  const parts = tf
    .split<Image>(toImage(tf, input, window, 0), groups, 3)
    .map((part, i) => tf.conv2d(part, filters[i], window.strides, 'valid', 'NHWC', window.dilations));
  const bias = optional(2);
  const joined = tf.concat(parts, 3);
  return fromImage(tf, bias ? tf.add(joined, bias) : joined, input.rank);
};

/** The gradient of a convolution: the full result, cropped by the padding. */
const ConvTranspose: TfjsOp = (call) => {
  const { tf, node, x, optional } = call;
  const [input, weight] = [x(0), x(1)];
  if (node.attribute('output_shape', 'ints')) refuse(call, 'output_shape is not covered');
  const window = windowOf(call, weight.shape.slice(2));
  if (window.dilations.some((step) => step !== 1)) refuse(call, 'dilation is not covered');
  const { kernel, strides, pads } = window;
  const extra = [...node.attribute('output_padding', 'ints', [0, 0])];
  const outputPadding = extra.length === 1 ? [0, extra[0]] : extra;

  const image = toImage(tf, input, { ...window, pads: NO_PADDING }, 0);
  const groups = node.attribute('group', 'int', 1);
  const filter = tf.transpose(weight.rank === 3 ? tf.expandDims(weight, 2) : weight, [2, 3, 1, 0]) as Image;
  const filters = tf.split<Image>(filter, groups, 3);
  const [batch, ...size] = image.shape;
  const full = [0, 1].map((i) => (size[i] - 1) * strides[i] + kernel[i]);
  const parts = tf
    .split<Image>(image, groups, 3)
    .map((part, i) =>
      tf.conv2dTranspose(part, filters[i], [batch, full[0], full[1], weight.shape[1]!], strides, 'valid'),
    );

  const padded = tf.pad(tf.concat(parts, 3), [
    [0, 0],
    [0, outputPadding[0]],
    [0, outputPadding[1]],
    [0, 0],
  ]);
  const kept = [0, 1].map((i) => full[i] + outputPadding[i] - pads[i][0] - pads[i][1]);
  const cropped = tf.slice(padded, [0, pads[0][0], pads[1][0], 0], [batch, kept[0], kept[1], padded.shape[3]]);
  const bias = optional(2);
  return fromImage(tf, bias ? tf.add(cropped, bias) : cropped, input.rank);
};

const NO_PADDING: Window['pads'] = [
  [0, 0],
  [0, 0],
];

function poolingWindow(call: Call): Window {
  const window = windowOf(call, call.node.attribute('kernel_shape', 'ints', []));
  return window.dilations.every((step) => step === 1) ? window : refuse(call, 'dilated pooling is not covered');
}

const MaxPool: TfjsOp = (call) => {
  const { tf, node, x } = call;
  if (node.outputs.length > 1) refuse(call, 'the positions of the maxima are not covered');
  const window = poolingWindow(call);
  const image = toImage(tf, x(0), window, -Infinity);
  return fromImage(tf, tf.maxPool(image, window.kernel, window.strides, 'valid'), x(0).rank);
};

/** The mean over what a window covers of the input; with `count_include_pad`, over the whole window. */
const AveragePool: TfjsOp = (call) => {
  const { tf, x } = call;
  const window = poolingWindow(call);
  const mean = (image: Image): TfTensor => tf.avgPool(image, window.kernel, window.strides, 'valid');
  const sum = mean(toImage(tf, x(0), window, 0));
  if (flag(call, 'count_include_pad')) return fromImage(tf, sum, x(0).rank);
  return fromImage(tf, tf.div(sum, mean(toImage(tf, tf.onesLike(x(0)), window, 0))), x(0).rank);
};

/** Axes of a [N, C, ...] tensor behind the channels. */
const spatial = (x: TfTensor): number[] => x.shape.map((_, axis) => axis).slice(2);

export const LINEAR = {
  MatMul: ({ tf, x }) => product(tf, x(0), x(1)),
  FusedMatMul,
  Gemm,
  Einsum: ({ tf, node, x }) =>
    tf.einsum(node.attribute('equation', 'string', '').replaceAll(' ', ''), ...node.inputs.map((_, index) => x(index))),
  Conv,
  ConvTranspose,
  MaxPool,
  AveragePool,
  GlobalMaxPool: ({ tf, x }) => tf.max(x(0), spatial(x(0)), true),
  GlobalAveragePool: ({ tf, x }) => tf.mean(x(0), spatial(x(0)), true),
} satisfies Record<string, TfjsOp>;
