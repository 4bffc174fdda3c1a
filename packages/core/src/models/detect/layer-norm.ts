/** @file Finding layer normalisations, as one node or spelled out. */
import type { Graph, Node, Value } from '../../graph';
import { constantOf } from '../../ops/constant-value';

export interface LayerNorm {
  readonly input: Value;
  readonly output: Value;
  readonly scale: Value;
  readonly bias: Value;
  readonly epsilon: number;
}

/** All layer normalisations with scale and bias, in the order of their nodes. */
export function findLayerNorms(graph: Graph): LayerNorm[] {
  return graph.nodes.flatMap((node) => oneNode(node) ?? spelledOut(node) ?? []);
}

function oneNode(node: Node): LayerNorm | undefined {
  const [, , bias] = node.inputs;
  if (node.opType !== 'LayerNormalization' || !bias) return undefined;
  const epsilon = node.attribute('epsilon', 'float', 1e-5);
  return { input: node.input(0), output: node.output(), scale: node.input(1), bias, epsilon };
}

/** (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias, told by its last four nodes. */
function spelledOut(node: Node): LayerNorm | undefined {
  const shifted = withVector(node, 'Add');
  const scaled = shifted && withVector(shifted.other.producer, 'Mul');
  const ratio = scaled?.other.producer;
  if (!shifted || !scaled || ratio?.opType !== 'Div') return undefined;
  const [centred, deviation] = [ratio.input(0).producer, ratio.input(1).producer];
  if (centred?.opType !== 'Sub' || centred.input(1).producer?.opType !== 'ReduceMean') return undefined;
  const variance = deviation?.opType === 'Sqrt' ? deviation.input(0).producer : undefined;
  const epsilon = variance?.inputs
    .map((input) => constantOf(input)?.toNumbers()[0])
    .find((number) => number !== undefined);
  if (epsilon === undefined) return undefined;
  return { input: centred.input(0), output: node.output(), scale: scaled.vector, bias: shifted.vector, epsilon };
}

/** An op on a computed value and a constant vector, in either order. */
function withVector(node: Node | undefined, opType: string): { vector: Value; other: Value } | undefined {
  if (node?.opType !== opType) return undefined;
  const [a, b] = [node.input(0), node.input(1)];
  if (constantOf(b)?.dims.length === 1) return { vector: b, other: a };
  return constantOf(a)?.dims.length === 1 ? { vector: a, other: b } : undefined;
}
