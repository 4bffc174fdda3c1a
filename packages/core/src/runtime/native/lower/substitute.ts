import { Node, Value } from '../../../graph';
import type { Attribute, Model } from '../../../graph';

/** Operators of @modelpress/native. */
export const NATIVE_DOMAIN = 'modelpress';

export type NativeOp = 'Bf16Gemm' | 'Gelu' | 'GeluGrad' | 'LayerNormGrad' | 'ResidualNorm' | 'SoftmaxGrad';

export interface Substitution {
  readonly op: NativeOp;
  readonly inputs: readonly (Value | null)[];
  /** The values that its outputs replace, with names and types; `null` for an output that nothing reads. */
  readonly replaces: readonly (Value | null)[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/**
 * Puts an operator of the native runtime before `at` and lets its outputs replace others, whose producers are removed
 * where nothing reads them any more.
 */
export function substitute(
  { graph, opsets }: Model,
  at: Node,
  { op, inputs, replaces, attributes = {} }: Substitution,
): void {
  const outputs = replaces.map((old) => new Value(old ? graph.uniqueName(old.name) : '', old ?? {}));
  graph.addNode(new Node(op, NATIVE_DOMAIN, at.name, inputs, outputs, new Map(Object.entries(attributes))), at);
  const pairs = replaces.flatMap((old, i) => (old ? [{ old, made: outputs[i], name: old.name }] : []));
  for (const { old, made } of pairs) graph.replaceAllUses(old, made);
  const producers = new Set(pairs.flatMap(({ old }) => old.producer ?? []));
  graph.removeNodes([...producers].filter((node) => node.outputs.every(({ uses }) => uses.size === 0)));
  for (const { old, made, name } of pairs) if (!old.producer) graph.renameValue(made, name);
  opsets.set(NATIVE_DOMAIN, 1);
}
