import type { Node, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';

/** The node that made `value`, if it adds updates into zeros: the gradient of a Gather. */
function scatterIntoZeros(value: Value): Node | undefined {
  const node = value.producer;
  const isScatter = node?.opType === 'ScatterND' || node?.opType === 'ScatterElements';
  if (!isScatter || node.attribute('reduction', 'string', 'none') !== 'add') return undefined;
  const data = node.input(0).producer;
  return data?.opType === 'Expand' &&
    data
      .input(0)
      .constant?.toNumbers()
      .every((x) => x === 0)
    ? node
    : undefined;
}

/**
 * The sum of contributions to one gradient. Those that scatter into zeros are scattered into the sum of the others
 * instead, which saves two passes over a table that is also used densely (a tied language model head).
 */
export function accumulate(build: GraphBuilder, parts: readonly Value[]): Value {
  if (parts.length === 1) return parts[0];
  const scatters = parts.flatMap((part) => scatterIntoZeros(part) ?? []);
  const dense = parts.filter((part) => !scatterIntoZeros(part));
  const [base, rest] = dense.length > 0 ? [dense, scatters] : [[scatters[0].output()], scatters.slice(1)];
  const sum = base.reduce((a, b) => build.op('Add', [a, b]));
  return rest.reduce((total, node) => {
    const attributes = Object.fromEntries(node.attributes);
    return build.op(node.opType as 'ScatterND', [total, node.input(1), node.input(2)], attributes);
  }, sum);
}
