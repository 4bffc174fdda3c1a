/** @file Brings what exporters write into the form in which weights are found: one initializer for each parameter. */
import { Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Graph } from '../graph';
import { removeDeadCode } from '../passes';
import type { Model } from '../graph';
import { findLinears } from './detect';
import type { Linear } from './detect';
import { toFloat32 } from './half';
import { cutPart, FUSED_PARTS, transpose } from './huggingface-names';

/** Prepares a foreign model for structure detection, in place. What it computes stays the same. */
export function normaliseForeign(model: Model): void {
  liftConstants(model.graph);
  separateVectors(model.graph);
  for (const linear of findLinears(model.graph)) splitFused(model.graph, linear);
  model.graph.sort();
  removeDeadCode(model);
}

/** Constant nodes that hold float vectors and matrices become initializers. */
function liftConstants(graph: Graph): void {
  for (const node of graph.nodes.filter(({ opType }) => opType === 'Constant')) {
    const tensor = node.attribute('value', 'tensor');
    if (tensor?.is('float32') && tensor.dims.length > 0) becomeInitializer(graph, node, tensor);
  }
}

/**
 * PyTorch's exporter stores equal tensors once (fresh biases, all zero) and names the others by Identity nodes. They
 * are parameters of their own. Matrices stay shared: those are tied on purpose.
 */
function separateVectors(graph: Graph): void {
  for (const node of graph.nodes.filter(({ opType }) => opType === 'Identity')) {
    const { constant } = node.input(0);
    if (constant?.dims.length === 1) becomeInitializer(graph, node, constant);
  }
}

function becomeInitializer(graph: Graph, node: Node, tensor: Tensor): void {
  const { name } = node.output();
  const initializer = graph.addInitializer(graph.uniqueName(`${name}.value`), tensor);
  graph.replaceAllUses(node.output(), initializer);
  graph.removeNode(node);
  graph.renameValue(initializer, name);
}

/** Replaces one projection that a Split cuts into query, key and value (as in GPT-2) by three projections. */
function splitFused(graph: Graph, linear: Linear): void {
  const split = splitAfter(linear);
  const weight = linear.weight.constant;
  if (!split || !weight) return;
  const matrix = linear.transposed ? transpose(toFloat32(weight)) : toFloat32(weight);
  const input = unflattened(linear.input);
  split.outputs.forEach((output, part) => {
    const name = `${linear.weight.name}.${FUSED_PARTS[part]}`;
    const product = add(
      graph,
      'MatMul',
      input,
      graph.addInitializer(graph.uniqueName(name), cutPart(matrix, part)),
      output,
    );
    const bias = linear.bias?.constant;
    const biasName = `${linear.bias?.name}.${FUSED_PARTS[part]}`;
    const biased = bias
      ? add(
          graph,
          'Add',
          product,
          graph.addInitializer(graph.uniqueName(biasName), cutPart(toFloat32(bias), part)),
          output,
        )
      : product;
    graph.replaceAllUses(output, biased);
  });
}

function add(graph: Graph, opType: string, left: Value, right: Value, like: Value): Value {
  const name = graph.uniqueName(`${like.name}.${opType}`);
  const result = new Value(name, { dtype: 'float32', shape: like.shape });
  graph.addNode(new Node(opType, ONNX_DOMAIN, name, [left, right], [result]));
  return result;
}

/** The Split into three equal parts of the last axis that alone reads a projection, behind at most one Reshape. */
function splitAfter({ output, outputs }: Linear): Node | undefined {
  const reshaped = soleReader(output, 'Reshape')?.output() ?? output;
  const split = soleReader(reshaped, 'Split');
  if (split?.outputs.length !== FUSED_PARTS.length) return undefined;
  const axis = split.attribute('axis', 'int', 0);
  const sizes = split.inputs[1]?.constant?.toNumbers() ?? split.attribute('split', 'ints');
  const equal = !sizes || sizes.every((size) => size * FUSED_PARTS.length === outputs);
  return equal && (axis === 2 || axis === -1) ? split : undefined;
}

/** The [batch, sequence, hidden] value behind a Reshape to [-1, hidden], as Gemm needs it. */
function unflattened(value: Value): Value {
  return value.producer?.opType === 'Reshape' ? value.producer.input(0) : value;
}

function soleReader(value: Value, opType: string): Node | undefined {
  const [reader, ...others] = value.consumers;
  return reader?.opType === opType && others.length === 0 ? reader : undefined;
}
