/** @file Puts two thin matrices in the place of one. */
import { int } from '../graph/attribute';
import { Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Graph } from '../graph';
import type { LowRank, Matrix } from './low-rank';
import type { Target } from './targets';

/** Names of the two initializers. */
export const factorNames = (weight: string): { first: string; second: string } => ({
  first: `${weight}.first`,
  second: `${weight}.second`,
});

/** The weight as [in, out] (tables: [rows, width]), whichever way it is stored. */
export function matrixOf({ weight, transposed }: Pick<Target, 'weight' | 'transposed'>): Matrix {
  const tensor = weight.constant as Tensor<'float32'>;
  const [rows, columns] = tensor.dims as [number, number];
  if (!transposed) return { rows, columns, data: tensor.data };
  const { data } = tensor;
  const turned = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = data[i * columns + j];
  return { rows: columns, columns: rows, data: turned };
}

/**
 * ```
 * y = MatMul(x, W)   ->   y = MatMul(MatMul(x, A), B)
 * y = Gather(W, i)   ->   y = MatMul(Gather(A, i), B)
 * ```
 * for every reader; A and B are stored [in, rank] and [rank, out]. Biases stay where they are. What only read the
 * weight (a Transpose) is left for `removeDeadCode`.
 */
export function rewrite(graph: Graph, target: Target, { first, second }: LowRank): void {
  const { rows, columns } = matrixOf(target);
  const rank = first.length / rows;
  const names = factorNames(target.weight.name);
  const a = graph.addInitializer(names.first, Tensor.float32([rows, rank], first));
  const b = graph.addInitializer(names.second, Tensor.float32([rank, columns], second));
  for (const { kind, node } of target.sites) {
    if (kind === 'linear') splitProduct(graph, node, a, b);
    else splitLookup(graph, node, a, b);
  }
}

function splitProduct(graph: Graph, node: Node, a: Value, b: Value): void {
  const thin = addMatMul(graph, node, node.input(0), a);
  graph.setInput(node, 0, thin);
  graph.setInput(node, 1, b);
  if (node.attributes.has('transB')) node.attributes.set('transB', int(0));
}

/** The look-up keeps its node and reads the narrow table; a product makes its rows wide again. */
function splitLookup(graph: Graph, node: Node, a: Value, b: Value): void {
  const wide = node.output();
  const { name, shape } = wide;
  const [rank, width] = b.shape as [number, number];
  const narrow = shape && [...shape.slice(0, -1), rank];
  const replaced = new Value(graph.uniqueName(`${name}.wide`), {
    dtype: 'float32',
    shape: shape && [...shape.slice(0, -1), width],
  });
  const readers = [...wide.uses];
  graph.setInput(node, 0, a);
  wide.shape = narrow;
  graph.addNode(new Node('MatMul', ONNX_DOMAIN, replaced.name, [wide, b], [replaced]), nextOf(graph, node));
  for (const { node: reader, index } of readers) graph.setInput(reader, index, replaced);
  graph.outputs.forEach((output, i) => {
    if (output === wide) graph.outputs[i] = replaced;
  });
  graph.renameValue(wide, graph.uniqueName(`${name}.narrow`));
  graph.renameValue(replaced, name);
}

const nextOf = (graph: Graph, node: Node): Node | undefined => graph.nodes[graph.nodes.indexOf(node) + 1];

/** x A in front of `node`. */
function addMatMul(graph: Graph, node: Node, x: Value, a: Value): Value {
  const shape = x.shape && [...x.shape.slice(0, -1), a.shape![1]];
  const output = new Value(graph.uniqueName(`${node.output().name}.thin`), { dtype: 'float32', shape });
  graph.addNode(new Node('MatMul', ONNX_DOMAIN, output.name, [x, a], [output]), node);
  return output;
}
