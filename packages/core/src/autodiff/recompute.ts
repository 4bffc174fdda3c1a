/** @file Activation recomputation: the backward pass computes a segment's inner values again instead of keeping them. */
import { invalid } from '../errors';
import { sizeOf } from '../graph';
import type { Node, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import type { OpName } from '../ops';
import { reshape } from '../ops/gradient';
import { staticShape } from '../ops/shapes';

/**
 * Between two neighbouring boundaries, lets the backward pass read copies of the forward values that it needs (Chen et
 * al. 2016, arXiv:1604.06174). The copies start from `boundary + 0 x gradient at the segment's end`: a runtime can then
 * neither merge them with the originals nor compute them before the backward pass arrives. What does not depend on
 * the segment's start (masks) is kept.
 *
 * @param forward nodes of the forward pass; all other nodes of the graph are backward
 * @param boundaries values of the residual stream, in the order of the forward pass; none within a segment is kept
 * @throws `autodiff.boundary` when a boundary does not depend on the one before it, or has no gradient
 */
export function recomputeSegments(
  build: GraphBuilder,
  forward: ReadonlySet<Node>,
  boundaries: readonly Value[],
  gradientOf: ReadonlyMap<Value, Value>,
): void {
  for (const [i, end] of boundaries.slice(1).entries()) {
    const start = boundaries[i];
    const gradient = gradientOf.get(end);
    const inner = valuesBetween(start, end);
    if (!inner || !gradient) {
      throw invalid('autodiff.boundary', `"${end.name}" does not follow from "${start.name}", or has no gradient.`);
    }
    build.scope('again', () => recompute(build, forward, { start, inner, gradient }));
  }
  build.graph.sort();
}

interface Segment {
  readonly start: Value;
  readonly inner: ReadonlySet<Value>;
  readonly gradient: Value;
}

function recompute(build: GraphBuilder, forward: ReadonlySet<Node>, { start, inner, gradient }: Segment): void {
  const readers = [...inner].flatMap((value) => [...value.uses].filter(({ node }) => !forward.has(node)));
  if (readers.length === 0) return;
  const element = build.op('Gather', [
    reshape(build, gradient, [sizeOf(staticShape(gradient))]),
    build.scalar(0, 'int64'),
  ]);
  const copies = new Map([[start, build.op('Add', [start, build.op('Mul', [element, build.scalar(0)])])]]);

  const copyOf = (value: Value): Value => {
    const node = value.producer;
    if (!copies.has(value) && node && inner.has(value)) {
      const inputs = node.inputs.map((input) => input && copyOf(input));
      const outputs = build.ops(
        node.opType as OpName,
        inputs,
        Object.fromEntries(node.attributes),
        node.outputs.length,
      );
      node.outputs.forEach((output, index) => copies.set(output, outputs[index]));
    }
    return copies.get(value) ?? value;
  };
  for (const { node, index } of readers) build.graph.setInput(node, index, copyOf(node.input(index)));
}

/** Values on paths from `start` to `end`, both left out, with side outputs; undefined when there is no path. */
function valuesBetween(start: Value, end: Value): Set<Value> | undefined {
  const depends = new Map<Value, boolean>([[start, true]]);
  const nodes: Node[] = [];
  const visit = (value: Value): boolean => {
    const known = depends.get(value);
    if (known !== undefined || !value.producer) return known ?? false;
    const results = value.producer.inputs.map((input) => input !== null && visit(input));
    const doesDepend = results.includes(true);
    for (const output of value.producer.outputs) depends.set(output, doesDepend);
    if (doesDepend) nodes.push(value.producer);
    return doesDepend;
  };
  if (!visit(end)) return undefined;
  return new Set(nodes.flatMap((node) => node.outputs).filter((value) => value !== end));
}
