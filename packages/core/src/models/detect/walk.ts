/** @file Walking a graph through nodes that only move or scale data. */
import type { Node, Value } from '../../graph';
import { constantOf } from '../../ops/constant-value';

/** Ops that change where elements lie, not what they are. */
const LAYOUT = new Set(
  'Reshape Transpose Unsqueeze Squeeze Flatten Split Slice Concat Expand Identity Cast Dropout'.split(' '),
);

/** Ops that work element by element, of which activations, scales and masks are made. */
const ELEMENTWISE = new Set(
  (
    'Add Sub Mul Div Pow Sqrt Neg Exp Erf Tanh Sigmoid Relu LeakyRelu Elu Selu Gelu FastGelu QuickGelu HardSigmoid ' +
    'HardSwish Mish Softplus Clip Min Max Where Identity Cast Dropout'
  ).split(' '),
);

/** A rule for which nodes a walk may pass. */
export type Passes = (node: Node) => boolean;

export const isLayout: Passes = (node) => LAYOUT.has(node.opType);
export const isElementwise: Passes = (node) => ELEMENTWISE.has(node.opType);
/** Layout, or multiplication and division by a number. */
export const isLayoutOrScale: Passes = (node) =>
  isLayout(node) || ((node.opType === 'Mul' || node.opType === 'Div') && node.inputs.some(isScalar));

/** A constant of one element, or a number computed from shapes (as exporters compute 1/sqrt(d)). */
function isScalar(value: Value | null): boolean {
  const constant = constantOf(value);
  return constant ? constant.size === 1 : value?.shape?.length === 0;
}

/** Layout, or picking positions of a computed value. */
export const isLayoutOrPick: Passes = (node) =>
  isLayout(node) || (node.opType.startsWith('Gather') && constantOf(node.input(0)) === undefined);

/** Inputs that carry data; the others are shapes, indices, axes and conditions. */
function dataInputs(node: Node): readonly (Value | null)[] {
  if (node.opType === 'Where') return node.inputs.slice(1);
  const all = node.opType === 'Concat' || (ELEMENTWISE.has(node.opType) && node.opType !== 'Clip');
  return all && node.opType !== 'Dropout' ? node.inputs : node.inputs.slice(0, 1);
}

/**
 * Goes up from a value through passable nodes and returns what `stop` gives at the nearest values, each once and in
 * input order.
 */
export function findAbove<T>(start: Value, stop: (value: Value) => T | undefined, passes: Passes): T[] {
  const seen = new Set<Value>();
  const found = new Set<T>();
  const visit = (value: Value | null): void => {
    if (!value || seen.has(value)) return;
    seen.add(value);
    const result = stop(value);
    if (result !== undefined) found.add(result);
    else if (value.producer && passes(value.producer)) dataInputs(value.producer).forEach(visit);
  };
  visit(start);
  return [...found];
}

/** Op types of the nodes between two values. */
export function opsBetween(from: Value, to: Value): ReadonlySet<string> {
  const ops = new Set<string>();
  const stop = (value: Value): true | undefined => (value === from ? true : void ops.add(value.producer?.opType ?? ''));
  findAbove(to, stop, (node) => isElementwise(node) || isLayout(node));
  return ops;
}
