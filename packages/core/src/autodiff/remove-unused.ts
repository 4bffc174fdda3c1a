import type { Graph } from '../graph';

/** Removes nodes that no output needs, and initializers that nothing reads. Inputs stay. */
export function removeUnused(graph: Graph): void {
  const needed = new Set(graph.outputs.flatMap(({ producer }) => producer ?? []));
  for (const node of needed) {
    for (const { producer } of node.reads) if (producer) needed.add(producer);
  }
  graph.removeNodes(graph.nodes.filter((node) => !needed.has(node)));
  for (const value of graph.initializers) {
    if (value.uses.size === 0 && !graph.outputs.includes(value)) graph.removeValue(value);
  }
}
