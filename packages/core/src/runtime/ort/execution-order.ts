import { clone } from '../../graph';
import type { Model, Node } from '../../graph';

const isLeaf = (node: Node): boolean => node.outputs.every((output) => output.uses.size === 0);

/**
 * A copy that ONNX Runtime executes in the order of the original. It does not run nodes as they are listed: it walks
 * back from the nodes that no other reads, the last one listed first. In a training graph those are the gradients of
 * weights, listed from the last layer to the first: as listed, the whole chain of activation gradients would run before
 * any of them and all of it would be held. With the leaves reversed each gradient runs as soon as it can.
 */
export function inExecutionOrder(model: Model): Model {
  const copy = clone(model);
  copy.graph.moveToEnd(copy.graph.nodes.filter(isLeaf).reverse());
  return copy;
}
