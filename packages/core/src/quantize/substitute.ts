/** @file Takes a float node out of a graph once something else computes its value. */
import type { Graph, Node, Value } from '../graph';

/** Puts `made` in the place of `old`, name included, and removes what computed `old`. */
export function substitute(graph: Graph, old: Value, made: Value): void {
  const { name } = old;
  graph.replaceAllUses(old, made);
  removeIfDead(graph, old.producer);
  graph.renameValue(made, name);
}

/** Removes a node that nothing reads any more, then what only it had read, initializers included. */
function removeIfDead(graph: Graph, node: Node | undefined): void {
  if (!node || !node.outputs.every((output) => isUnread(graph, output))) return;
  const inputs = new Set(node.inputs.filter((value) => value !== null));
  graph.removeNode(node);
  for (const input of inputs) {
    if (input.producer) removeIfDead(graph, input.producer);
    else if (input.constant && isUnread(graph, input)) graph.removeValue(input);
  }
}

const isUnread = (graph: Graph, value: Value): boolean => value.uses.size === 0 && !graph.outputs.includes(value);
