/** @file Constants and shape arithmetic. Nothing here has a gradient. */
import { Tensor, sizeOf } from '../graph';
import type { Dim, Node, Shape } from '../graph';
import { fromNumbers, pick } from './elements';
import type { OpRule } from './rule';
import { commonDtype } from './binary';
import { freshDim, freshShape, staticShape, unsupportedForm } from './shapes';

/** The tensor a Constant node holds, in whichever attribute. */
function constantTensor(node: Node): Tensor {
  const tensor = node.attribute('value', 'tensor');
  if (tensor) return tensor;
  const [int, ints] = [node.attribute('value_int', 'int'), node.attribute('value_ints', 'ints')];
  if (int !== undefined) return Tensor.scalar(int, 'int64');
  if (ints) return Tensor.int64([ints.length], ints);
  const [float, floats] = [node.attribute('value_float', 'float'), node.attribute('value_floats', 'floats')];
  if (float !== undefined) return Tensor.scalar(float);
  if (floats) return Tensor.float32([floats.length], floats);
  throw unsupportedForm(node, 'holds no numeric tensor.');
}

export const Constant: OpRule = {
  infer: ({ node }) => {
    const { dtype, dims } = constantTensor(node);
    return [{ dtype, shape: dims }];
  },
  grad: 'none',
  evaluate: (node) => [constantTensor(node)],
};

/** The dimensions from `start` to `end` of the input. */
function shapeRange(node: Node, shape: Shape): Shape {
  return shape.slice(node.attribute('start', 'int', 0), node.attribute('end', 'int') ?? shape.length);
}

/** Known as soon as the input's shape is static, whatever its data: `evaluate` needs no tensor. */
export const ShapeOp: OpRule = {
  infer: ({ node, shape }) => [{ dtype: 'int64', shape: [shapeRange(node, shape(0)).length] }],
  grad: 'none',
  evaluate: (node) => {
    const dims = shapeRange(node, staticShape(node.input(0), node)) as readonly number[];
    return [Tensor.int64([dims.length], dims)];
  },
};

export const Size: OpRule = {
  infer: () => [{ dtype: 'int64', shape: [] }],
  grad: 'none',
  evaluate: (node) => [Tensor.scalar(sizeOf(staticShape(node.input(0), node)), 'int64')],
};

export const ConstantOfShape: OpRule = {
  infer: ({ node, shape, constant }) => {
    const { dtype } = fillValue(node);
    const dims = constant(0)?.toNumbers();
    const [rank] = shape(0);
    return [{ dtype, shape: dims ?? (typeof rank === 'number' ? freshShape(node, rank) : undefined) }];
  },
  grad: 'none',
  evaluate: (node, [dims]) => [pick(fillValue(node), dims!.toNumbers(), () => 0)],
};

const fillValue = (node: Node): Tensor => node.attribute('value', 'tensor') ?? Tensor.scalar(0);

export const Range: OpRule = {
  infer: (context) => {
    const { node, constant } = context;
    const dtype = commonDtype(context, [0, 1, 2]);
    const bounds = [0, 1, 2].map((index) => constant(index)?.toNumbers()[0]);
    const [start, limit, delta] = bounds;
    const isKnown = start !== undefined && limit !== undefined && delta !== undefined;
    const length: Dim = isKnown ? rangeLength(start, limit, delta) : freshDim(node, 0);
    return [{ dtype, shape: [length] }];
  },
  grad: 'none',
  evaluate: (_, inputs) => {
    const [start, limit, delta] = inputs.map((input) => input!.toNumbers()[0]) as [number, number, number];
    const length = rangeLength(start, limit, delta);
    return [
      fromNumbers(
        inputs[0]!.dtype,
        [length],
        Array.from({ length }, (_, i) => start + i * delta),
      ),
    ];
  },
};

const rangeLength = (start: number, limit: number, delta: number): number =>
  Math.max(0, Math.ceil((limit - start) / delta));
