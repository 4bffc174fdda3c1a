/** @file Convolutions over any number of spatial dimensions; text models use one. */
import { formatShape, isStatic, sizeOf } from '../graph';
import type { Node, Shape, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { commonDtype } from './binary';
import { reduceSum, reshape } from './gradient';
import type { GradContext, OpRule } from './rule';
import { dimsClash, productDim, shapeError, staticShape, unsupportedForm } from './shapes';
import { extent, windowOf, windowOutput } from './window';
import type { Window } from './window';

function convWindow(node: Node, input: Shape, weight: Shape): Window {
  const kernel = weight.slice(2);
  if (!isStatic(kernel) || weight.length !== input.length || input.length < 3) {
    throw shapeError(node, `kernel ${formatShape(weight)} does not fit an input of shape ${formatShape(input)}.`);
  }
  return windowOf(node, kernel, input.slice(2));
}

const groupsOf = (node: Node): number => node.attribute('group', 'int', 1);

/** Attributes of a window, for a node that is built. */
const attributes = ({ strides, dilations, pads }: Window): Record<string, readonly number[]> => ({
  strides,
  dilations,
  pads,
});

/** x [N, C, ...], w [M, C / groups, ...kernel], optional bias [M] -> [N, M, ...]. */
export const Conv: OpRule = {
  infer: (context) => {
    const { node, shape } = context;
    const [x, w] = [shape(0), shape(1)];
    const window = convWindow(node, x, w);
    if (dimsClash(x[1], productDim([w[1], groupsOf(node)]))) {
      throw shapeError(node, `kernel ${formatShape(w)} does not fit the channels of ${formatShape(x)}.`);
    }
    const dtype = commonDtype(context, node.inputs[2] ? [0, 1, 2] : [0, 1]);
    return [{ dtype, shape: [x[0], w[0], ...windowOutput(node, window, x.slice(2))] }];
  },
  grad: (context) => {
    const { build, node, wants } = context;
    const g = context.outputGrads[0]!;
    const window = convWindow(node, staticShape(node.input(0), node), staticShape(node.input(1), node));
    return [
      wants(0) ? inputGrad(context, window) : null,
      wants(1) ? kernelGrad(context, window) : null,
      node.inputs[2] && wants(2) ? channelSum(build, g) : null,
    ];
  },
  flops: (node) => {
    const [, channels, ...kernel] = staticShape(node.input(1), node);
    return 2 * sizeOf(staticShape(node.output(), node)) * channels * sizeOf(kernel);
  },
};

/** dx = the transposed convolution of g with the same kernel. */
function inputGrad({ build, node, outputGrads }: GradContext, window: Window): Value {
  const dims = staticShape(node.input(0), node).slice(2);
  const out = staticShape(outputGrads[0]!, node).slice(2);
  // A stride may leave input elements at the end that no window reached.
  const unreached = dims.map((dim, axis) => {
    const reached = (out[axis] - 1) * window.strides[axis] + extent(window, axis);
    return dim + window.pads[axis] + window.pads[axis + dims.length] - reached;
  });
  return build.op('ConvTranspose', [outputGrads[0]!, node.input(1)], {
    ...attributes(window),
    group: groupsOf(node),
    output_padding: unreached,
  });
}

/** dw[m, c, k] = sum over n, t of g[n, m, t] x[n, c, t stride + k dilation - pad]: a convolution of x by g over the batch. */
function kernelGrad({ build, node, outputGrads }: GradContext, window: Window): Value {
  if (groupsOf(node) !== 1)
    throw unsupportedForm(node, 'the kernel gradient of a grouped convolution is not defined here.');
  const kernel = staticShape(node.input(1), node);
  const swap = { perm: kernel.map((_, axis) => (axis < 2 ? 1 - axis : axis)) };
  const x = build.op('Transpose', [node.input(0)], swap);
  const g = build.op('Transpose', [outputGrads[0]!], swap);
  const swapped = { ...attributes(window), strides: window.dilations, dilations: window.strides };
  const full = build.op('Conv', [x, g], swapped);
  // Input elements that no window reached make the result longer than the kernel.
  const spatial = kernel.slice(2).map((_, axis) => axis + 2);
  const isLonger = spatial.some((axis) => staticShape(full)[axis] !== kernel[axis]);
  const cut = isLonger
    ? build.op('Slice', [
        full,
        build.int64s(spatial.map(() => 0)),
        build.int64s(kernel.slice(2)),
        build.int64s(spatial),
      ])
    : full;
  return build.op('Transpose', [cut], swap);
}

/** Sums g [N, M, ...] to [M]. */
function channelSum(build: GraphBuilder, g: Value): Value {
  const dims = staticShape(g);
  return reshape(
    build,
    reduceSum(
      build,
      g,
      dims.flatMap((_, axis) => (axis === 1 ? [] : [axis])),
    ),
    [dims[1]],
  );
}

/** The adjoint of Conv, emitted by its gradient. x [N, M, ...], w [M, C / groups, ...kernel] -> [N, C, ...]. */
export const ConvTranspose: OpRule = {
  infer: (context) => {
    const { node, shape } = context;
    const [x, w] = [shape(0), shape(1)];
    if (node.attribute('auto_pad', 'string', 'NOTSET') !== 'NOTSET' || node.attributes.has('output_shape')) {
      throw unsupportedForm(node, 'automatic padding is not supported.');
    }
    const window = convWindow(node, x, w);
    const spatial = staticShape(node.input(0), node).slice(2);
    const extra = node.attribute(
      'output_padding',
      'ints',
      spatial.map(() => 0),
    );
    const out = spatial.map((dim, axis) => {
      const pad = window.pads[axis] + window.pads[axis + spatial.length];
      return (dim - 1) * window.strides[axis] + extent(window, axis) - pad + extra[axis];
    });
    const channels = productDim([w[1], groupsOf(node)]);
    return [{ dtype: commonDtype(context, [0, 1]), shape: [x[0], channels, ...out] }];
  },
  grad: 'forbidden',
  flops: (node) => {
    const [, channels, ...kernel] = staticShape(node.input(1), node);
    return 2 * sizeOf(staticShape(node.input(0), node)) * channels * sizeOf(kernel);
  },
};
