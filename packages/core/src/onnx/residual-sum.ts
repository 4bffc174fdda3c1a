/**
 * @file Additions in files: `Sum` where the graph has an `Add` in front of a layer normalization.
 *
 * ONNX Runtime (1.30) fuses such an Add with its LayerNormalization, and on a CPU the fused kernel takes about
 * six times as long as the two that it replaces: in a pruned int8 MiniLM longer than all products (docs/serving.md has
 * figures). It looks for Add only, and Sum of two computes the same. The graph knows Add alone.
 */
import type { Node } from '../graph';
import { ONNX_DOMAIN } from '../graph';
import { NodeProto } from './proto';
import { create } from './wire';

/** The operator that a file names for a node. */
export const writtenOp = (node: Node): string => (isResidualAddition(node) ? 'Sum' : node.opType);

/** Half precision is left to be fused: graphs that compute in it are for GPUs. */
function isResidualAddition({ opType, domain, outputs: [sum] }: Node): boolean {
  if (opType !== 'Add' || domain !== ONNX_DOMAIN) return false;
  return [...sum.uses].some(
    ({ node, index }) =>
      index === 0 &&
      node.opType === 'LayerNormalization' &&
      node.domain === ONNX_DOMAIN &&
      node.inputs[1]?.dtype === 'float32',
  );
}

/** A standard Sum as additions from left to right (of one operand: Identity); any other node as it is. */
export function readAdditions(proto: NodeProto): readonly NodeProto[] {
  const { opType, domain, input, output, name } = proto;
  const [total] = output;
  if (opType !== 'Sum' || domain || !total || input.length === 0 || input.includes('')) return [proto];
  if (input.length === 1) return [create(NodeProto, { ...proto, opType: 'Identity' })];
  const partial = (count: number): string => (count === input.length ? total : `${total}/first.${count}`);
  return input.slice(1).map((term, i) =>
    create(NodeProto, {
      name: i === input.length - 2 ? name : `${name ?? ''}/first.${i + 2}`,
      opType: 'Add',
      input: [i === 0 ? input[0] : partial(i + 1), term],
      output: [partial(i + 2)],
    }),
  );
}
