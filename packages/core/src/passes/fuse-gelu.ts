import type { Node, Value } from '../graph';
import { string } from '../graph';
import type { Pass } from './pass';
import { isClose, operandsOf, producerOf, scalarOf, substituteNode } from './rewrite';

/** First opset that has Gelu. */
const MIN_OPSET = 20;

/**
 * Recognises GELU written out (Hendrycks & Gimpel 2016, arXiv:1606.08415), exact or by tanh, the factors in any order:
 * ```
 * %e = Erf(Div(%x, sqrt(2)))
 * %y = Mul(Mul(%x, Add(%e, 1)), 0.5)   ->   %y = Gelu(%x)
 *
 * %t = Tanh(Mul(Add(%x, Mul(Pow(%x, 3), 0.044715)), sqrt(2 / pi)))
 * %y = Mul(Mul(%x, Add(%t, 1)), 0.5)   ->   %y = Gelu(%x) {approximate: "tanh"}
 * ```
 * The nodes in between are left to dead-code removal.
 */
export const fuseGelu: Pass = ({ graph, opset }) => {
  if (opset < MIN_OPSET) return { modified: false };
  let modified = false;
  for (const node of graph.nodes) {
    const approximate = node.opType === 'Tanh' ? 'tanh' : 'none';
    const x = node.opType === 'Tanh' ? tanhArgument(node) : erfArgument(node);
    if (!x) continue;
    // equal halves may have been merged and the products not
    for (let last = lastProduct(node, x); last; last = lastProduct(node, x)) {
      substituteNode(graph, last, 'Gelu', [x], { approximate: string(approximate) });
      modified = true;
    }
  }
  return { modified };
};

/** x, if the node is Erf(x / sqrt(2)). */
function erfArgument(node: Node): Value | undefined {
  if (node.opType !== 'Erf') return undefined;
  const division = producerOf(node.input(0), 'Div');
  if (division && isClose(scalarOf(division.input(1)), Math.SQRT2)) return division.input(0);
  return scaledBy(node.input(0), Math.SQRT1_2);
}

/** x, if the node is Tanh(sqrt(2 / pi) * (x + 0.044715 x^3)). */
function tanhArgument(node: Node): Value | undefined {
  const sum = scaledBy(node.input(0), Math.sqrt(2 / Math.PI));
  const pairs = operandsOf(sum?.producer, 'Add');
  return pairs.find(([x, cubic]) => isCube(scaledBy(cubic, 0.044715), x))?.[0];
}

/** x, if `value` is factor * x. */
const scaledBy = (value: Value, factor: number): Value | undefined =>
  operandsOf(value.producer, 'Mul').find(([, constant]) => isClose(scalarOf(constant), factor))?.[0];

function isCube(value: Value | undefined, x: Value): boolean {
  const power = producerOf(value, 'Pow');
  if (power) return power.input(0) === x && scalarOf(power.input(1)) === 3;
  return operandsOf(value?.producer, 'Mul').some(
    ([a, square]) => a === x && square.producer?.inputs.every((input) => input === x) && producerOf(square, 'Mul'),
  );
}

/** The Mul that completes 0.5 * x * (1 + node), if there is one. */
function lastProduct(node: Node, x: Value): Node | undefined {
  const sum = node
    .output()
    .consumers.find((consumer) =>
      operandsOf(consumer, 'Add').some(([a, one]) => a === node.output() && scalarOf(one) === 1),
    );
  return sum && completeProduct(sum.output(), x, { x: true, half: true });
}

/** Follows `value` through multiplications until it has met what is `missing` of the factors x and 0.5. */
function completeProduct(value: Value, x: Value, missing: { x: boolean; half: boolean }): Node | undefined {
  for (const consumer of value.consumers) {
    for (const [a, factor] of operandsOf(consumer, 'Mul')) {
      if (a !== value) continue;
      const isX = missing.x && factor === x;
      const isHalf = missing.half && isClose(scalarOf(factor), 0.5);
      const isBoth = missing.x && missing.half && scaledBy(factor, 0.5) === x;
      if (!isX && !isHalf && !isBoth) continue;
      const left = { x: missing.x && !isX && !isBoth, half: missing.half && !isHalf && !isBoth };
      if (!left.x && !left.half) return consumer;
      const last = completeProduct(consumer.output(), x, left);
      if (last) return last;
    }
  }
  return undefined;
}
