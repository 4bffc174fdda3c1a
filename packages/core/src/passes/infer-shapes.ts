import type { Model } from '../graph';
import { inferNode } from '../ops/infer';

/**
 * Infers the type of every value from the graph inputs on, replacing what the file said.
 * @throws ModelpressError `ops.*`, naming the node
 */
export function inferShapes(model: Model): void {
  for (const node of model.graph.nodes) inferNode(node, model.opset);
}
