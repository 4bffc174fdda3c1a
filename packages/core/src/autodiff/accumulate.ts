import type { Node, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { addGemm, isUnreadGemm } from '../ops/product';

/** The node that made `value`, if it adds updates into zeros: the gradient of a Gather. */
function scatterIntoZeros(value: Value): Node | undefined {
  const node = value.producer;
  const isScatter = node?.opType === 'ScatterND' || node?.opType === 'ScatterElements';
  if (!isScatter || node.attribute('reduction', 'string', 'none') !== 'add') return undefined;
  const data = node.input(0).producer;
  const isZero =
    data?.opType === 'Expand' &&
    data
      .input(0)
      .constant?.toNumbers()
      .every((x) => x === 0);
  return isZero ? node : undefined;
}

/** How cheaply a contribution can be added to a total, the later the cheaper. */
function rank(part: Value): number {
  if (scatterIntoZeros(part)) return 2;
  return isUnreadGemm(part) ? 1 : 0;
}

function add(build: GraphBuilder, total: Value, part: Value): Value {
  const scatter = scatterIntoZeros(part);
  if (scatter) {
    const attributes = Object.fromEntries(scatter.attributes);
    return build.op(scatter.opType as 'ScatterND', [total, scatter.input(1), scatter.input(2)], attributes);
  }
  return isUnreadGemm(part) ? addGemm(build, total, part) : build.op('Add', [total, part]);
}

/**
 * The sum of contributions to one gradient. A Gemm takes the sum of the others as its addend, and what scatters into
 * zeros scatters into that sum instead (a table that is also the language model head): both save passes over tensors.
 */
export const accumulate = (build: GraphBuilder, parts: readonly Value[]): Value =>
  parts.toSorted((a, b) => rank(a) - rank(b)).reduce((total, part) => add(build, total, part));
