/** @file The text form of a model, made for golden tests and error reports: stable, one line per value or node. */
import type { Attribute } from './attribute';
import { isFloat } from './dtype';
import type { Graph, Model, Node, Value } from './graph';
import { formatShape } from './shape';
import type { Tensor } from './tensor';

/** Constants with at most so many elements are printed in full. */
const SHORT = 8;
/** Digits of a printed float: what is left of a float32. */
const DIGITS = 6;

/**
 * Prints a model:
 * ```
 * opset 21, com.microsoft 1
 * graph main(%x: float32[batch,64]) -> (%y) {
 *   %w: float32[64,64]
 *   %shape: int64[2] = [-1, 64]
 *   %y: float32[batch,64] = MatMul(%x, %w) {alpha: 0.5}
 * }
 * ```
 */
export function print(model: Model): string {
  const opsets = [...model.opsets].map(([domain, version]) => `${domain || 'opset'} ${version}`);
  return `${opsets.join(', ')}\n${printGraph(model.graph)}\n`;
}

function printGraph(graph: Graph, indent = ''): string {
  const inputs = graph.inputs.join(', ');
  const outputs = graph.outputs.map((value) => `%${value.name}`).join(', ');
  const lines = [...graph.initializers.map(printConstant), ...graph.nodes.map((node) => printNode(node, indent))];
  const body = lines.map((line) => `${indent}  ${line}\n`).join('');
  return `graph ${graph.name}(${inputs}) -> (${outputs}) {\n${body}${indent}}`;
}

function printConstant(value: Value): string {
  const { constant } = value;
  return constant && constant.size <= SHORT ? `${value} = ${printElements(constant)}` : String(value);
}

function printNode(node: Node, indent: string): string {
  const outputs = node.outputs.map((value) => (value.name ? String(value) : '_')).join(', ');
  const op = node.domain ? `${node.domain}.${node.opType}` : node.opType;
  const inputs = node.inputs.map((value) => (value ? `%${value.name}` : '_')).join(', ');
  const attributes = [...node.attributes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, attribute]) => `${name}: ${printAttribute(attribute, indent)}`);
  return `${outputs} = ${op}(${inputs})${attributes.length > 0 ? ` {${attributes.join(', ')}}` : ''}`;
}

function printAttribute(attribute: Attribute, indent: string): string {
  switch (attribute.type) {
    case 'int':
      return String(attribute.value);
    case 'ints':
      return `[${attribute.value.join(', ')}]`;
    case 'float':
      return printFloat(attribute.value);
    case 'floats':
      return `[${attribute.value.map(printFloat).join(', ')}]`;
    case 'string':
    case 'strings':
      return JSON.stringify(attribute.value);
    case 'tensor':
      return printTensor(attribute.value);
    case 'graph':
      return printGraph(attribute.value, `${indent}  `);
  }
}

function printTensor(tensor: Tensor): string {
  const type = `${tensor.dtype}${formatShape(tensor.dims)}`;
  return tensor.size <= SHORT ? `${type} ${printElements(tensor)}` : type;
}

/** Elements in row-major order; the raw bytes for dtypes that JavaScript cannot read. */
function printElements(tensor: Tensor): string {
  const float = isFloat(tensor.dtype);
  const elements = Array.from<number | bigint, string>(tensor.data, (x) => (float ? printFloat(Number(x)) : String(x)));
  return tensor.dims.length === 0 ? elements.join() : `[${elements.join(', ')}]`;
}

const printFloat = (value: number): string => String(Number(value.toPrecision(DIGITS)));
