import type { Model, Node, Tensor, Value } from '../graph';
import { isStatic, sizeOf } from '../graph';
import { isComputable } from '../ops/elements';
import { inferNode, ruleFor } from '../ops/infer';
import type { Pass } from './pass';
import { isParameter } from './rewrite';

/** Results above so many elements are not folded: they would grow the model instead of simplifying it. */
const MAX_ELEMENTS = 2 ** 20;
/** Elements that one run of the pass computes at most, so that a hostile model cannot fill the memory. */
const MAX_TOTAL_ELEMENTS = 2 ** 25;

/** Ops that ask for the dimensions of their input, not for its data. */
const READS_SHAPE_ONLY: ReadonlySet<string> = new Set(['Shape', 'Size']);

/**
 * Infers the type of every value and computes, in the same walk, the nodes whose inputs are known: a folded shape
 * makes the next node's type known, which may make the next one foldable.
 * ```
 * %s = Shape(%x)            (%x: float32[8,32])
 * %n = Gather(%s, 1)   ->   %n = 32
 * ```
 * Weights are never computed on, so that a Transpose of one stays a node and the weight stays recognisable. A Constant
 * node becomes an initializer, and thereby a weight if it is a float above rank 0.
 * @throws ModelpressError `ops.*`, naming the node
 */
export const foldConstants: Pass = (model) => {
  const { graph } = model;
  const folded: Node[] = [];
  const constants: { readonly name: string; readonly value: Value }[] = [];
  /** Constants that this pass computed: floats among them are no weights. */
  const computed = new Set<Value>();
  let left = MAX_TOTAL_ELEMENTS;

  for (const node of graph.nodes) {
    inferNode(node, model.opset);
    const elements = newElements(node);
    if (elements > Math.min(left, MAX_ELEMENTS)) continue;
    const results = evaluate(node, model, computed);
    if (!results) continue;
    left -= elements;
    folded.push(node);
    node.outputs.forEach((output, i) => {
      if (output.name === '') return;
      const value = graph.addInitializer(graph.uniqueName(output.name), results[i]);
      graph.replaceAllUses(output, value);
      constants.push({ name: output.name, value });
      if (node.opType !== 'Constant') computed.add(value);
    });
  }

  graph.removeNodes(folded);
  for (const { name, value } of constants) graph.renameValue(value, name);
  return { modified: folded.length > 0 };
};

/** The outputs of a node that can and may be folded. */
function evaluate(node: Node, model: Model, computed: ReadonlySet<Value>): readonly Tensor[] | undefined {
  const rule = ruleFor(node);
  const isOutput = node.outputs.some((output) => model.graph.outputs.includes(output));
  if (!rule.evaluate || isOutput || !areInputsKnown(node, computed) || !isComputableNode(node)) return undefined;
  const inputs = node.inputs.map((value) => value?.constant ?? null);
  const results = rule.evaluate(node, inputs, model.opset);
  return results.length >= node.outputs.length ? results : undefined;
}

/** Half precision and 4-bit constants are bits to JavaScript: what computes with them stays in the graph. */
function isComputableNode({ opType, inputs, outputs }: Node): boolean {
  if (opType === 'Constant' || READS_SHAPE_ONLY.has(opType)) return true;
  return [...inputs, ...outputs].every((value) => !value?.dtype || isComputable(value.dtype));
}

function areInputsKnown(node: Node, computed: ReadonlySet<Value>): boolean {
  if (READS_SHAPE_ONLY.has(node.opType)) {
    const { shape } = node.input(0);
    return shape !== undefined && isStatic(shape);
  }
  return node.inputs.every(
    (value) => !value || computed.has(value) || (value.constant !== undefined && !isParameter(value)),
  );
}

/** Elements that folding a node adds to the model: none for a Constant, unknown many for an open shape. */
function newElements({ opType, outputs }: Node): number {
  if (opType === 'Constant') return 0;
  const sizes = outputs.map(({ shape }) => (shape && isStatic(shape) ? sizeOf(shape) : Infinity));
  return sizes.reduce((sum, size) => sum + size, 0);
}
