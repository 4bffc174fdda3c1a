import type { Model, Node } from '../graph';
import { int, ONNX_DOMAIN, Tensor } from '../graph';
import { ruleFor } from '../ops/infer';
import type { Pass } from './pass';

/** The standard opset that modelpress emits. */
export const TARGET_OPSET = 21;
/** First IR version that goes with it. */
const TARGET_IR_VERSION = 10;

/** Reductions that take their axes as an input since opset 18; ReduceSum does since 13. */
const AXES_BECAME_INPUT: ReadonlySet<string> = new Set([
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSumSquare',
]);

/**
 * Raises the standard opset to 21. Of the ops in the op table, two changed their form since opset 13, both at 18:
 * ```
 * %y = ReduceMean(%x) {axes: [-1]}        ->   %y = ReduceMean(%x, [-1])
 * %a, %b = Split(%x) {axis: 1}            ->   %a, %b = Split(%x) {axis: 1, num_outputs: 2}
 * ```
 * The rest got more element types or attributes whose default is the old behaviour. A newer opset is left alone.
 * @throws ModelpressError `ops.unknown` for an op that is not in the table, whose changes are not known
 */
export const raiseOpset: Pass = (model) => {
  if (model.opset >= TARGET_OPSET) return { modified: false };
  for (const node of model.graph.nodes) raiseNode(node, model);
  model.opsets.set(ONNX_DOMAIN, TARGET_OPSET);
  model.irVersion = Math.max(model.irVersion, TARGET_IR_VERSION);
  return { modified: true };
};

function raiseNode(node: Node, { graph, opset }: Model): void {
  ruleFor(node);
  if (node.domain !== ONNX_DOMAIN || opset >= 18) return;
  const axes = node.attribute('axes', 'ints');
  if (AXES_BECAME_INPUT.has(node.opType) && axes) {
    const value = graph.addInitializer(graph.uniqueName(`${node.name}.axes`), Tensor.int64([axes.length], axes));
    graph.setInput(node, 1, value);
    node.attributes.delete('axes');
  }
  if (node.opType === 'Split' && !node.inputs[1]) node.attributes.set('num_outputs', int(node.outputs.length));
}
