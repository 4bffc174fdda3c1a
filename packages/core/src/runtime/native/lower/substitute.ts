import { Node, Value } from '../../../graph';
import type { Attribute, Model } from '../../../graph';

/** Operators of @modelpress/native. */
export const NATIVE_DOMAIN = 'modelpress';

export type NativeOp = 'Bf16Gemm' | 'Gelu' | 'GeluGrad';

/** Puts an operator of the native runtime in the place of a node. The outputs keep their names and types. */
export function substitute(
  { graph, opsets }: Model,
  old: Node,
  opType: NativeOp,
  inputs: readonly (Value | null)[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Node {
  const outputs = old.outputs.map((replaced) => new Value(graph.uniqueName(replaced.name), replaced));
  const node = new Node(opType, NATIVE_DOMAIN, old.name, inputs, outputs, new Map(Object.entries(attributes)));
  graph.addNode(node, old);
  const names = old.outputs.map(({ name }) => name);
  for (const [i, replaced] of old.outputs.entries()) graph.replaceAllUses(replaced, outputs[i]);
  graph.removeNode(old);
  for (const [i, name] of names.entries()) graph.renameValue(outputs[i], name);
  opsets.set(NATIVE_DOMAIN, 1);
  return node;
}
