/** @file Finding the linear layers of a graph: MatMul or Gemm with a constant matrix, and its bias. */
import type { Graph, Node, Value } from '../../graph';
import { constantOf } from '../../ops/constant-value';

/** y = x W + b. */
export interface Linear {
  /** The MatMul or Gemm. */
  readonly node: Node;
  readonly input: Value;
  /** After the bias. */
  readonly output: Value;
  /** The value that holds the matrix, [in, out], or [out, in] if `transposed`. */
  readonly weight: Value;
  readonly transposed: boolean;
  readonly bias: Value | undefined;
  readonly inputs: number;
  readonly outputs: number;
}

/** All linear layers in the order of their nodes. */
export function findLinears(graph: Graph): Linear[] {
  return graph.nodes.flatMap((node) => matMul(node) ?? gemm(node) ?? []);
}

/** A constant matrix, seen through Identity and Transpose. */
function matrix(value: Value): { weight: Value; transposed: boolean } | undefined {
  const { producer } = value;
  if (constantOf(value)) return constantOf(value)!.dims.length === 2 ? { weight: value, transposed: false } : undefined;
  if (producer?.opType === 'Identity') return matrix(producer.input(0));
  if (producer?.opType !== 'Transpose') return undefined;
  const inner = matrix(producer.input(0));
  return inner && { weight: inner.weight, transposed: !inner.transposed };
}

function matMul(node: Node): Linear | undefined {
  if (node.opType !== 'MatMul') return undefined;
  const found = matrix(node.input(1));
  if (!found || constantOf(node.input(0))) return undefined;
  const sizes = sizesOf(found);
  const added = biasAfter(node.output(), sizes.outputs);
  return {
    node,
    input: node.input(0),
    output: added?.output ?? node.output(),
    ...found,
    bias: added?.bias,
    ...sizes,
  };
}

function gemm(node: Node): Linear | undefined {
  if (node.opType !== 'Gemm' || node.attribute('transA', 'int', 0) !== 0) return undefined;
  if (node.attribute('alpha', 'float', 1) !== 1 || node.attribute('beta', 'float', 1) !== 1) return undefined;
  const found = matrix(node.input(1));
  const bias = node.inputs[2] ?? undefined;
  if (!found || (bias && !isVector(bias))) return undefined;
  const stored = { ...found, transposed: found.transposed !== (node.attribute('transB', 'int', 0) === 1) };
  return { node, input: node.input(0), output: node.output(), ...stored, bias, ...sizesOf(stored) };
}

function sizesOf({ weight, transposed }: { weight: Value; transposed: boolean }): { inputs: number; outputs: number } {
  const [rows, columns] = constantOf(weight)!.dims;
  return transposed ? { inputs: columns, outputs: rows } : { inputs: rows, outputs: columns };
}

/** The Add of a vector that alone reads a product. */
function biasAfter(product: Value, size: number): { bias: Value; output: Value } | undefined {
  const [reader, ...others] = product.consumers;
  if (reader?.opType !== 'Add' || others.length > 0) return undefined;
  const bias = reader.inputs.find((input) => input !== product);
  return bias && isVector(bias, size) ? { bias, output: reader.output() } : undefined;
}

const isVector = (value: Value, size?: number): boolean => {
  const dims = constantOf(value)?.dims;
  return dims?.length === 1 && (size === undefined || dims[0] === size);
};
