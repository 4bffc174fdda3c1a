/** @file Ops that give the same elements other dimensions. Their gradient is the reverse reshape. */
import { formatShape, sizeOf } from '../graph';
import type { Dim, Node, Shape, Tensor } from '../graph';
import { reshape } from './gradient';
import type { GradRule, InferContext, OpRule } from './rule';
import {
  dimsClash,
  divideDims,
  freshDim,
  freshShape,
  normalizeAxis,
  productDim,
  shapeError,
  staticShape,
  unsupportedForm,
} from './shapes';

const reshapeBack: GradRule = ({ build, node, outputGrads }) => [
  reshape(build, outputGrads[0]!, staticShape(node.input(0), node)),
];

/** The shape a Reshape asks for: 0 copies the input's dimension (unless `allowzero`), -1 is what is left. */
function requestedShape(node: Node, input: Shape, request: readonly number[]): Shape {
  const copiesZero = node.attribute('allowzero', 'int', 0) === 0;
  const dims = request.map((dim, axis): Dim => {
    if (dim !== 0 || !copiesZero) return dim;
    const copied = input[axis];
    if (copied === undefined)
      throw shapeError(node, `copies dimension ${axis} of an input of shape ${formatShape(input)}.`);
    return copied;
  });
  const wildcard = dims.indexOf(-1);
  const known = dims.filter((_, axis) => axis !== wildcard);
  if (known.some((dim) => typeof dim === 'number' && dim < 0) || known.includes(-1)) {
    throw shapeError(node, `cannot reshape to ${formatShape(dims)}.`);
  }
  const mismatch = (): Error => shapeError(node, `cannot reshape ${formatShape(input)} to ${formatShape(dims)}.`);
  if (wildcard < 0) {
    if (dimsClash(productDim(input), productDim(dims))) throw mismatch();
    return dims;
  }
  const rest = productDim(known) === 0 ? undefined : divideDims(input, known);
  if (rest === undefined && [...input, ...known].every((dim) => typeof dim === 'number')) throw mismatch();
  return dims.map((dim, axis) => (axis === wildcard ? (rest ?? freshDim(node, axis)) : dim));
}

/** Output dimensions once the node's type is inferred, for `evaluate`. */
const withInferredDims = (node: Node, [x]: readonly (Tensor | null)[]): readonly Tensor[] => [
  x!.reshape(staticShape(node.output(), node)),
];

export const Reshape: OpRule = {
  infer: (context) => {
    const { node } = context;
    const { dtype } = context.type(0);
    const request = context.constant(1)?.toNumbers();
    if (request) return [{ dtype, shape: requestedShape(node, context.shape(0), request) }];
    const [rank] = context.shape(1);
    return [{ dtype, shape: typeof rank === 'number' ? freshShape(node, rank) : undefined }];
  },
  grad: reshapeBack,
  evaluate: (node, [x, request]) => [
    x!.reshape(requestedShape(node, x!.dims, request!.toNumbers()) as readonly number[]),
  ],
};

/** Two dimensions: those before `axis` and those from it on. */
export const Flatten: OpRule = {
  infer: ({ node, type, shape }) => {
    const dims = shape(0);
    const given = node.attribute('axis', 'int', 1);
    const axis = given === dims.length ? given : normalizeAxis(node, given, dims.length);
    return [{ dtype: type(0).dtype, shape: [productDim(dims.slice(0, axis)), productDim(dims.slice(axis))] }];
  },
  grad: reshapeBack,
  evaluate: (node, [x]) => {
    const given = node.attribute('axis', 'int', 1);
    const axis = given < 0 ? given + x!.dims.length : given;
    return [x!.reshape([sizeOf(x!.dims.slice(0, axis)), sizeOf(x!.dims.slice(axis))])];
  },
};

/** Axes given as a constant second input. */
function axesInput({ node, constant }: InferContext): readonly number[] | undefined {
  if (!node.inputs[1]) return undefined;
  const axes = constant(1);
  if (!axes) throw unsupportedForm(node, 'its axes are not constant.');
  return axes.toNumbers();
}

export const Squeeze: OpRule = {
  infer: (context) => {
    const { node } = context;
    const dims = context.shape(0);
    const axes = axesInput(context)?.map((axis) => normalizeAxis(node, axis, dims.length));
    for (const axis of axes ?? []) {
      if (dimsClash(dims[axis], 1)) throw shapeError(node, `dimension ${axis} of ${formatShape(dims)} is not 1.`);
    }
    const shape = dims.filter((dim, axis) => (axes ? !axes.includes(axis) : dim !== 1));
    return [{ dtype: context.type(0).dtype, shape }];
  },
  grad: reshapeBack,
  evaluate: withInferredDims,
};

export const Unsqueeze: OpRule = {
  infer: (context) => {
    const { node } = context;
    const dims = [...context.shape(0)];
    const axes = axesInput(context) ?? [];
    const rank = dims.length + axes.length;
    const sorted = axes.map((axis) => normalizeAxis(node, axis, rank)).sort((a, b) => a - b);
    for (const axis of sorted) dims.splice(axis, 0, 1);
    return [{ dtype: context.type(0).dtype, shape: dims }];
  },
  grad: reshapeBack,
  evaluate: withInferredDims,
};
