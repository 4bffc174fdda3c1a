/** @file Pooling over spatial dimensions [N, C, ...]. */
import { Tensor, sizeOf } from '../graph';
import type { Node, Shape, Value } from '../graph';
import { fromNumbers } from './elements';
import { perInput } from './flops';
import { reduceSum, reshape, zeros } from './gradient';
import type { GradContext, GradRule, InferContext, OpRule, ValueType } from './rule';
import { shapeError, staticShape, unsupportedForm } from './shapes';
import { windowOf, windowOutput } from './window';
import type { Window } from './window';

function poolWindow(node: Node, input: Shape): Window {
  const kernel = node.attribute('kernel_shape', 'ints');
  if (!kernel || kernel.length !== input.length - 2) throw shapeError(node, 'kernel_shape does not fit its input.');
  return windowOf(node, kernel, input.slice(2));
}

function pooledShape({ node, shape }: InferContext): Shape {
  const dims = shape(0);
  return [...dims.slice(0, 2), ...windowOutput(node, poolWindow(node, dims), dims.slice(2))];
}

/** Second output: positions of the maxima in the flattened input. */
export const MaxPool: OpRule = {
  infer: (context): ValueType[] => [
    { dtype: context.type(0).dtype, shape: pooledShape(context) },
    { dtype: 'int64', shape: pooledShape(context) },
  ],
  grad: ({ build, node, outputGrads }) => {
    if (node.attribute('storage_order', 'int', 0) !== 0) throw unsupportedForm(node, 'column-major indices.');
    const [, positions] = build.extendOutputs(node, 2);
    const dims = staticShape(node.input(0), node);
    const flat = (value: Value): Value => reshape(build, value, [sizeOf(staticShape(value))]);
    const inputs = [zeros(build, [sizeOf(dims)]), flat(positions), flat(outputGrads[0]!)];
    return [reshape(build, build.op('ScatterElements', inputs, { axis: 0, reduction: 'add' }), dims)];
  },
  flops: perInput(1),
};

/** Spreads g / count over each window, as a transposed convolution of every channel by ones. */
function averageGrad({ build, node, outputGrads }: GradContext): (Value | null)[] {
  const dims = staticShape(node.input(0), node);
  const window = poolWindow(node, dims);
  if (node.attribute('ceil_mode', 'int', 0) === 1)
    throw unsupportedForm(node, 'its gradient with ceil_mode is not defined here.');
  const [batch, channels] = dims as [number, number];
  const out = staticShape(outputGrads[0]!, node).slice(2);
  const countsPads = node.attribute('count_include_pad', 'int', 0) === 1;
  const counts = fromNumbers('float32', out, windowCounts(window, dims.slice(2), out, countsPads));
  const shares = build.op('Div', [outputGrads[0]!, build.constant(counts, 'counts')]);
  const planes = reshape(build, shares, [batch * channels, 1, ...out]);
  const ones = build.constant(
    Tensor.float32([1, 1, ...window.kernel], new Float32Array(sizeOf(window.kernel)).fill(1)),
    'ones',
  );
  const reached = (axis: number): number =>
    (out[axis] - 1) * window.strides[axis] + (window.kernel[axis] - 1) * window.dilations[axis] + 1;
  const spread = build.op('ConvTranspose', [planes, ones], {
    strides: window.strides,
    dilations: window.dilations,
    pads: window.pads,
    output_padding: out.map(
      (_, axis) => dims[axis + 2] + window.pads[axis] + window.pads[axis + out.length] - reached(axis),
    ),
  });
  return [reshape(build, spread, dims)];
}

/** How many elements each window averages: all of the kernel, or only those inside the input. */
function windowCounts(window: Window, input: readonly number[], out: readonly number[], countsPads: boolean): number[] {
  const perAxis = out.map((length, axis) =>
    Array.from({ length }, (_, t) => {
      const start = t * window.strides[axis] - window.pads[axis];
      const positions = Array.from({ length: window.kernel[axis] }, (_, k) => start + k * window.dilations[axis]);
      return countsPads ? positions.length : positions.filter((at) => at >= 0 && at < input[axis]).length;
    }),
  );
  return perAxis.reduce<number[]>((outer, counts) => outer.flatMap((a) => counts.map((b) => a * b)), [1]);
}

export const AveragePool: OpRule = {
  infer: (context) => [{ dtype: context.type(0).dtype, shape: pooledShape(context) }],
  grad: averageGrad,
  flops: perInput(1),
};

/** A global pool is a reduction over all spatial axes that keeps them as 1. */
const globalPool = (grad: GradRule): OpRule => ({
  infer: ({ type, shape }) => [{ dtype: type(0).dtype, shape: shape(0).map((dim, axis) => (axis < 2 ? dim : 1)) }],
  grad,
  flops: perInput(1),
});

export const GlobalAveragePool: OpRule = globalPool(({ build, node, outputGrads }) => {
  const dims = staticShape(node.input(0), node);
  const share = build.op('Mul', [outputGrads[0]!, build.scalar(1 / sizeOf(dims.slice(2)))]);
  return [build.op('Expand', [share, build.int64s(dims)])];
});

/** The largest element takes the gradient; equal ones share it evenly. */
export const GlobalMaxPool: OpRule = globalPool(({ build, node, outputGrads }) => {
  const dims = staticShape(node.input(0), node);
  const axes = dims.slice(2).map((_, axis) => axis + 2);
  const mask = build.op('Cast', [build.op('Equal', [node.input(0), node.output()])], { to: 1 });
  const count = reduceSum(build, mask, axes);
  return [build.op('Mul', [mask, build.op('Div', [outputGrads[0]!, count])])];
});
