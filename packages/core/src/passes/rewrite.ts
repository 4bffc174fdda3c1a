/** @file What several passes need to match and edit a graph. */
import type { Attribute, Graph, Model } from '../graph';
import { isFloat, Node, ONNX_DOMAIN, Value } from '../graph';

/** Whether a value is a weight: a float constant above rank 0. Passes never compute on weights. */
export const isParameter = ({ constant }: Value): boolean =>
  constant !== undefined && isFloat(constant.dtype) && constant.dims.length > 0;

/** Names of a model's weights. They survive `specialise`; ask before it, as it adds constants of its own. */
export const parameterNames = (model: Model): string[] =>
  model.graph.initializers.filter(isParameter).map(({ name }) => name);

/** The node that computes `value`, if it is a standard op of that type. */
export function producerOf(value: Value | null | undefined, opType: string): Node | undefined {
  const producer = value?.producer;
  return producer?.opType === opType && producer.domain === ONNX_DOMAIN ? producer : undefined;
}

/** The number that a value holds, if it is a constant of one element. */
export function scalarOf(value: Value | null | undefined): number | undefined {
  const constant = value?.constant;
  return constant?.size === 1 ? constant.toNumbers()[0] : undefined;
}

/** Whether two float32 constants mean the same number. */
export const isClose = (a: number | undefined, b: number): boolean =>
  a !== undefined && Math.abs(a - b) <= 1e-4 * Math.abs(b);

/** Both orders of the operands of a commutative node; none if it is not one of that type. */
export const operandsOf = (node: Node | undefined, opType: string): readonly (readonly [Value, Value])[] =>
  node?.opType === opType && node.domain === ONNX_DOMAIN
    ? [
        [node.input(0), node.input(1)],
        [node.input(1), node.input(0)],
      ]
    : [];

/**
 * Lets every reader of a node's first output read `to` instead and removes the node. Names of graph outputs stay: `to`
 * takes the name over. Returns false, and changes nothing, where it cannot (an input or another output).
 */
export function replaceNode(graph: Graph, node: Node, to: Value): boolean {
  const from = node.output();
  const { name } = from;
  const isOutput = graph.outputs.includes(from);
  if (isOutput && (!to.producer || graph.outputs.includes(to))) return false;
  graph.replaceAllUses(from, to);
  graph.removeNode(node);
  if (isOutput) graph.renameValue(to, name);
  return true;
}

/** Puts a standard op with one output in the place of a node. The output keeps name and type. */
export function substituteNode(
  graph: Graph,
  old: Node,
  opType: string,
  inputs: readonly Value[],
  attributes: Readonly<Record<string, Attribute>>,
): void {
  const replaced = old.output();
  const output = new Value(graph.uniqueName(replaced.name), replaced);
  const node = new Node(opType, ONNX_DOMAIN, old.name, inputs, [output], new Map(Object.entries(attributes)));
  graph.addNode(node, old);
  graph.replaceAllUses(replaced, output);
  graph.removeNode(old);
  graph.renameValue(output, replaced.name);
}
