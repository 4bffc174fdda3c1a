import type { Value } from '../graph';
import type { Pass } from './pass';

/**
 * Removes nodes that no graph output depends on, and constants that nothing reads. Graph inputs stay.
 * ```
 * %y = Relu(%x)          ->   %y = Relu(%x)
 * %z = MatMul(%x, %w)         (and %w is gone)
 * ```
 */
export const removeDeadCode: Pass = ({ graph }) => {
  const needed = new Set<Value>(graph.outputs);
  const dead = graph.nodes.toReversed().filter((node) => {
    if (!node.outputs.some((output) => needed.has(output))) return true;
    for (const value of node.reads) needed.add(value);
    return false;
  });
  graph.removeNodes(dead);

  const unread = graph.initializers.filter((value) => value.uses.size === 0 && !graph.outputs.includes(value));
  for (const value of unread) graph.removeValue(value);
  return { modified: dead.length > 0 || unread.length > 0 };
};
