import type { Node, Value } from '../../../graph';
import type { Pass } from '../../../passes';
import { operandsOf, producerOf } from '../../../passes/rewrite';
import { cofactor } from './match';
import { substitute } from './substitute';

/**
 * The gradient of a softmax along the last axis in one pass over memory:
 * ```
 * %w = Mul(%g, %y)                                    (%y = Softmax(%x))
 * %d = Sub(%w, Mul(%y, ReduceSum(%w, [-1])))      ->   %d = modelpress.SoftmaxGrad(%y, %g)
 * ```
 */
export const lowerSoftmax: Pass = (model) => {
  let modified = false;
  for (const node of model.graph.nodes) {
    const inputs = gradientInputs(node);
    if (!inputs) continue;
    substitute(model, node, { op: 'SoftmaxGrad', inputs, replaces: [node.output()] });
    modified = true;
  }
  return { modified };
};

/** [y, g] of the gradient that a Sub completes. */
function gradientInputs(node: Node): readonly [Value, Value] | undefined {
  if (node.opType !== 'Sub' || node.domain !== '') return undefined;
  const [weighted, rest] = [node.input(0), node.input(1)];
  for (const [y, total] of operandsOf(rest.producer, 'Mul')) {
    const g = cofactor(weighted, y);
    if (g && isSoftmax(y) && isRowSum(total, weighted)) return [y, g];
  }
  return undefined;
}

function isSoftmax(value: Value): boolean {
  const softmax = producerOf(value, 'Softmax');
  const axis = softmax?.attribute('axis', 'int', -1);
  return value.dtype === 'float32' && (axis === -1 || axis === (value.shape?.length ?? 0) - 1);
}

/** Whether `total` is the sum of `value` over its last axis, kept as 1. */
function isRowSum(total: Value, value: Value): boolean {
  const sum = producerOf(total, 'ReduceSum');
  if (sum?.input(0) !== value || sum.attribute('keepdims', 'int', 1) !== 1) return false;
  const axes = sum.inputs[1]?.constant?.toNumbers();
  return axes?.length === 1 && (axes[0] === -1 || axes[0] === (value.shape?.length ?? 0) - 1);
}
