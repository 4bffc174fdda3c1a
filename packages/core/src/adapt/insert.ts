/** @file Putting a branch into a finished graph. */
import type { ComponentEntry } from '../bundle/manifest';
import { unsupported } from '../errors';
import type { Graph, Node, Value } from '../graph';

/** The MatMul that multiplies by a component's matrix. */
export function matMulOf(graph: Graph, entry: ComponentEntry): Node {
  const [node, another] = graph.value(entry.weight).consumers;
  if (another) {
    throw unsupported('adapt.shared', `${entry.weight} is used by several layers, which cannot be adapted each alone.`);
  }
  if (node?.opType !== 'MatMul' || entry.transposed) {
    throw unsupported(
      'adapt.not-a-matmul',
      `${entry.weight} is read by ${node?.opType ?? 'nothing'}, but only a MatMul with [in, out] weights can be adapted.`,
      node?.location,
    );
  }
  return node;
}

/** The output of a component's linear layer, bias included. */
export function linearOutput(graph: Graph, entry: ComponentEntry): Value {
  const product = matMulOf(graph, entry).output();
  const bias = entry.bias === undefined ? undefined : graph.value(entry.bias);
  const add = product.consumers.find((node) => node.opType === 'Add' && bias && node.inputs.includes(bias));
  return add ? add.output() : product;
}

/** Makes every present reader of `value` read `transform(value)` instead. The graph needs `sort()` afterwards. */
export function insertAfter(graph: Graph, value: Value, transform: (value: Value) => Value): Value {
  const readers = [...value.uses];
  const result = transform(value);
  for (const { node, index } of readers) graph.setInput(node, index, result);
  graph.outputs.forEach((output, i) => {
    if (output === value) graph.outputs[i] = result;
  });
  return result;
}
