/** @file Finds a node's rule and sets the types of its outputs. */
import { invalid, unsupported } from '../errors';
import { MICROSOFT_DOMAIN, ONNX_DOMAIN } from '../graph';
import type { Node } from '../graph';
import { MICROSOFT_OPS, STANDARD_OPS } from '.';
import { constantOf } from './constant-value';
import type { InferContext, OpRule } from './rule';

const RULES_BY_DOMAIN: Readonly<Record<string, Readonly<Record<string, OpRule>>>> = {
  [ONNX_DOMAIN]: STANDARD_OPS,
  'ai.onnx': STANDARD_OPS,
  [MICROSOFT_DOMAIN]: MICROSOFT_OPS,
};

/**
 * The rule of a node's operator.
 * @throws `ops.unknown` naming the node when modelpress does not know the operator.
 */
export function ruleFor(node: Node): OpRule {
  const rules = RULES_BY_DOMAIN[node.domain];
  if (rules && Object.hasOwn(rules, node.opType)) return rules[node.opType];
  const op = node.domain ? `${node.domain}.${node.opType}` : node.opType;
  throw unsupported(
    'ops.unknown',
    `modelpress does not know the operator ${op} of node "${node.name}".`,
    node.location,
  );
}

/**
 * Sets dtype and shape of every output of a node from its inputs, whose types must be known.
 * @param opset Version of the standard operator set the model imports.
 * @throws `ops.unknown`, `ops.shape`, `ops.dtype`, `ops.unsupported-form`, each naming the node, op and reason.
 */
export function inferNode(node: Node, opset: number): void {
  const types = ruleFor(node).infer(inferContext(node, opset));
  node.outputs.forEach((output, index) => {
    const type = types[index];
    if (!type) {
      throw invalid(
        'ops.outputs',
        `${node} has ${node.outputs.length} outputs, at most ${types.length} exist.`,
        node.location,
      );
    }
    output.dtype = type.dtype;
    output.shape = type.shape ?? output.shape;
  });
}

function inferContext(node: Node, opset: number): InferContext {
  const type = (index: number): ReturnType<InferContext['type']> => {
    const { name, dtype, shape } = node.input(index);
    if (!dtype) throw invalid('ops.untyped', `${node}: the element type of input "${name}" is unknown.`, node.location);
    return { dtype, shape };
  };
  return {
    node,
    opset,
    type,
    shape(index) {
      const { shape } = type(index);
      if (shape) return shape;
      const { name } = node.input(index);
      throw unsupported('ops.dynamic-rank', `${node}: the rank of input "${name}" is unknown.`, node.location);
    },
    constant: (index) => constantOf(node.inputs[index]),
  };
}
