/** @file Softmax and its logarithm along one axis (opset 13 and later). */
import { isFloat, sizeOf } from '../graph';
import type { Tensor, Value } from '../graph';
import { fromNumbers, numbersOf } from './elements';
import { perOutput } from './flops';
import { reduceSum } from './gradient';
import type { GradContext, InferContext, OpRule, ValueType } from './rule';
import { dtypeError, normalizeAxis, staticShape, unsupportedForm } from './shapes';

function infer({ node, opset, type, shape }: InferContext): ValueType[] {
  const { dtype } = type(0);
  if (!isFloat(dtype)) throw dtypeError(node, `needs a floating-point input, got ${dtype}.`);
  if (opset < 13) throw unsupportedForm(node, `before opset 13 it flattens its input; this model has opset ${opset}.`);
  normalizeAxis(node, node.attribute('axis', 'int', -1), shape(0).length);
  return [type(0)];
}

/** Sum over the softmax axis, which stays as 1. */
const sumAlongAxis = ({ build, node }: GradContext, value: Value): Value => {
  const rank = staticShape(node.input(0), node).length;
  return reduceSum(build, value, [normalizeAxis(node, node.attribute('axis', 'int', -1), rank)]);
};

/** Applies `f` to every line along the axis. */
function mapLines(x: Tensor, axis: number, f: (line: readonly number[]) => number[]): Tensor {
  const at = axis < 0 ? axis + x.dims.length : axis;
  const step = sizeOf(x.dims.slice(at + 1));
  const length = x.dims[at];
  const values = numbersOf(x);
  for (let start = 0; start < values.length; start += step * length) {
    for (let offset = start; offset < start + step; offset++) {
      const line = Array.from({ length }, (_, i) => values[offset + i * step]);
      f(line).forEach((value, i) => (values[offset + i * step] = value));
    }
  }
  return fromNumbers(x.dtype, x.dims, values);
}

function logSoftmax(line: readonly number[]): number[] {
  const top = Math.max(...line);
  const total = Math.log(line.reduce((sum, x) => sum + Math.exp(x - top), 0));
  return line.map((x) => x - top - total);
}

export const Softmax: OpRule = {
  infer,
  /** y = softmax(x): dx = (g - sum(g y)) y */
  grad: (context) => {
    const { build, node } = context;
    const weighted = build.op('Mul', [context.outputGrads[0]!, node.output()]);
    const total = sumAlongAxis(context, weighted);
    return [build.op('Sub', [weighted, build.op('Mul', [node.output(), total])])];
  },
  flops: perOutput(6),
  evaluate: (node, [x]) => [mapLines(x!, node.attribute('axis', 'int', -1), (line) => logSoftmax(line).map(Math.exp))],
};

export const LogSoftmax: OpRule = {
  infer,
  /** y = x - log sum exp(x): dx = g - exp(y) sum(g) */
  grad: (context) => {
    const { build, node } = context;
    const g = context.outputGrads[0]!;
    const total = sumAlongAxis(context, g);
    return [build.op('Sub', [g, build.op('Mul', [build.op('Exp', [node.output()]), total])])];
  },
  flops: perOutput(6),
  evaluate: (node, [x]) => [mapLines(x!, node.attribute('axis', 'int', -1), logSoftmax)],
};
