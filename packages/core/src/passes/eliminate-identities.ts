import type { Node, Shape } from '../graph';
import { dtypeFromOnnx, ONNX_DOMAIN, sameShape } from '../graph';
import type { Pass } from './pass';
import { replaceNode, scalarOf } from './rewrite';

/**
 * Removes nodes that return their first input as it is:
 * 1. Identity, and Dropout outside training whose mask nothing reads
 * 2. Cast to the type that the input has
 * 3. Reshape, Flatten, Expand, Squeeze, Unsqueeze, Tile to the shape that the input has
 * 4. Transpose that keeps the order of the axes
 * 5. Concat of one input
 * ```
 * %y = Cast(%x) {to: 1}   (%x: float32)
 * %z = Relu(%y)                           ->   %z = Relu(%x)
 * ```
 */
export const eliminateIdentities: Pass = ({ graph }) => {
  const identities = graph.nodes.filter(isIdentity);
  const removed = identities.filter((node) => replaceNode(graph, node, node.input(0)));
  return { modified: removed.length > 0 };
};

function isIdentity(node: Node): boolean {
  if (node.domain !== ONNX_DOMAIN) return false;
  switch (node.opType) {
    case 'Identity':
      return true;
    case 'Dropout':
      return !isTraining(node) && node.outputs.slice(1).every((mask) => mask.uses.size === 0);
    case 'Cast':
      return dtypeFromOnnx(node.attribute('to', 'int', 0)) === node.input(0).dtype;
    case 'Reshape':
    case 'Flatten':
    case 'Expand':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Tile':
      return isSame(node.input(0).shape, node.output().shape);
    case 'Transpose':
      return node.attribute('perm', 'ints')?.every((from, to) => from === to) ?? false;
    case 'Concat':
      return node.inputs.length === 1;
    default:
      return false;
  }
}

/** Whether two shapes are known and equal; equal symbols stand for the same number. */
const isSame = (a: Shape | undefined, b: Shape | undefined): boolean =>
  a !== undefined && b !== undefined && sameShape(a, b);

/** Whether a Dropout may drop: its third input is anything but a constant false. */
const isTraining = (node: Node): boolean => Boolean(node.inputs[2]) && scalarOf(node.inputs[2]) !== 0;
