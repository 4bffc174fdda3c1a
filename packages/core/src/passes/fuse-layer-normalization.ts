import type { Node, Value } from '../graph';
import { float, int } from '../graph';
import type { Pass } from './pass';
import { operandsOf, producerOf, scalarOf, substituteNode } from './rewrite';

/** First opset that has LayerNormalization. */
const MIN_OPSET = 17;

interface Match {
  readonly x: Value;
  readonly scale: Value;
  readonly bias: Value;
  readonly epsilon: number;
}

/**
 * Recognises layer normalization written out, as exporters below opset 17 do:
 * ```
 * %m = ReduceMean(%x) {axes: [-1]}
 * %d = Sub(%x, %m)
 * %p = Pow(%d, 2)                          (or Mul(%d, %d))
 * %v = ReduceMean(%p) {axes: [-1]}
 * %s = Sqrt(Add(%v, epsilon))
 * %y = Add(Mul(Div(%d, %s), %g), %b)   ->   %y = LayerNormalization(%x, %g, %b) {axis: -1, epsilon}
 * ```
 * The nodes in between are left to dead-code removal.
 */
export const fuseLayerNormalization: Pass = ({ graph, opset }) => {
  if (opset < MIN_OPSET) return { modified: false };
  let modified = false;
  for (const node of graph.nodes) {
    const match = matchAffine(node);
    if (!match) continue;
    const { x, scale, bias, epsilon } = match;
    substituteNode(graph, node, 'LayerNormalization', [x, scale, bias], { axis: int(-1), epsilon: float(epsilon) });
    modified = true;
  }
  return { modified };
};

/** normalized * scale + bias */
function matchAffine(node: Node): Match | undefined {
  for (const [scaled, bias] of operandsOf(node, 'Add')) {
    for (const [normalized, scale] of operandsOf(scaled.producer, 'Mul')) {
      const match = matchNormalized(normalized);
      const width = match?.x.shape?.at(-1);
      if (match && isVector(scale, width) && isVector(bias, width)) return { ...match, scale, bias };
    }
  }
  return undefined;
}

const isVector = ({ shape }: Value, width: unknown): boolean => shape?.length === 1 && shape[0] === width;

/** d / sqrt(mean(d^2) + epsilon) with d = x - mean(x) */
function matchNormalized(value: Value): Pick<Match, 'x' | 'epsilon'> | undefined {
  const division = producerOf(value, 'Div');
  const centred = division?.input(0);
  const difference = producerOf(centred, 'Sub');
  const x = difference?.input(0);
  if (!division || !centred || !difference || !x || meanOf(difference.input(1)) !== x) return undefined;

  const radicand = producerOf(division.input(1), 'Sqrt')?.input(0);
  for (const [variance, shift] of operandsOf(radicand?.producer, 'Add')) {
    const epsilon = scalarOf(shift);
    if (epsilon !== undefined && isSquareOf(meanOf(variance), centred)) return { x, epsilon };
  }
  return undefined;
}

/** x, if `value` is the mean of x over its last axis, kept as 1. */
function meanOf(value: Value): Value | undefined {
  const node = producerOf(value, 'ReduceMean');
  if (node?.attribute('keepdims', 'int', 1) !== 1) return undefined;
  const axes = node.inputs[1] ? node.inputs[1].constant?.toNumbers() : node.attribute('axes', 'ints');
  const x = node.input(0);
  const isLast = axes?.length === 1 && (axes[0] === -1 || axes[0] + 1 === x.shape?.length);
  return isLast ? x : undefined;
}

function isSquareOf(value: Value | undefined, base: Value): boolean {
  const power = producerOf(value, 'Pow');
  if (power) return power.input(0) === base && scalarOf(power.input(1)) === 2;
  const product = producerOf(value, 'Mul');
  return product?.input(0) === base && product.input(1) === base;
}
