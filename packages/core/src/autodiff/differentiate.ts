/** @file Reverse-mode differentiation: appends the backward pass of a scalar to the graph it lives in. */
import { ModelpressError, invalid, unsupported } from '../errors';
import { formatShape, isFloat, sameShape } from '../graph';
import type { Node, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { ruleFor } from '../ops/infer';
import { accumulate } from './accumulate';

/**
 * Appends nodes that compute dLoss/dValue for every wanted value, walking back only along paths from the loss to them.
 *
 * @param build Builder of the graph that holds the loss; shapes on the paths must be static.
 * @param loss A float32 value with one element.
 * @returns gradients of the wanted values, each of its value's shape; a value the loss does not depend on is absent.
 * @throws `autodiff.loss`, `autodiff.forbidden`, `autodiff.dtype`, `ops.dynamic-shape`, naming node, op and reason.
 */
export function differentiate(build: GraphBuilder, loss: Value, wanted: readonly Value[]): Map<Value, Value> {
  if (loss.dtype !== 'float32' || loss.shape?.some((dim) => dim !== 1)) {
    throw invalid('autodiff.loss', `The loss "${loss}" must be a float32 scalar.`);
  }
  const nodes = ancestors(loss);
  const dependent = dependents(nodes, wanted);
  const contributions = new Map<Value, Value[]>();
  const gradients = new Map<Value, Value>();

  /** The sum of all contributions to a value's gradient; final once every reader of the value was visited. */
  const gradientOf = (value: Value): Value | null => {
    const parts = contributions.get(value);
    if (!parts) return null;
    const total = accumulate(build, parts);
    contributions.set(value, [total]);
    return total;
  };

  const seed = build.scalar(1);
  contributions.set(loss, [
    loss.shape?.length ? build.op('Reshape', [seed, build.int64s(loss.shape.map(Number))]) : seed,
  ]);
  build.scope('grad', () => {
    for (const node of nodes.reverse()) {
      if (!node.outputs.some((output) => dependent.has(output))) continue;
      const outputGrads = node.outputs.map(gradientOf);
      if (outputGrads.every((gradient) => gradient === null)) continue;
      inputGradients(build, node, outputGrads, dependent).forEach((gradient, index) => {
        const input = node.input(index);
        contributions.set(input, [...(contributions.get(input) ?? []), gradient]);
      });
    }
    for (const value of wanted) {
      const gradient = gradientOf(value);
      if (gradient) gradients.set(value, gradient);
    }
  });
  return gradients;
}

/** Nodes that the value is computed from, producers first. */
function ancestors(value: Value): Node[] {
  const ordered: Node[] = [];
  const state = new Map<Node, 'open' | 'done'>();
  const stack = value.producer ? [value.producer] : [];
  for (let node = stack.at(-1); node; node = stack.at(-1)) {
    if (state.get(node) === undefined) {
      state.set(node, 'open');
      for (const input of node.inputs) {
        if (input?.producer && !state.has(input.producer)) stack.push(input.producer);
      }
      continue;
    }
    stack.pop();
    if (state.get(node) === 'open') ordered.push(node);
    state.set(node, 'done');
  }
  return ordered;
}

/** Wanted values and everything computed from them differentiably. */
function dependents(nodes: readonly Node[], wanted: readonly Value[]): Set<Value> {
  const dependent = new Set(wanted);
  for (const node of nodes) {
    if (!node.inputs.some((input) => input && dependent.has(input)) || ruleFor(node).grad === 'none') continue;
    for (const output of node.outputs) if (output.dtype && isFloat(output.dtype)) dependent.add(output);
  }
  return dependent;
}

/** Runs a node's gradient rule and checks what it returns. */
function inputGradients(
  build: GraphBuilder,
  node: Node,
  outputGrads: readonly (Value | null)[],
  dependent: ReadonlySet<Value>,
): Map<number, Value> {
  const { grad } = ruleFor(node);
  if (typeof grad === 'string') {
    throw unsupported('autodiff.forbidden', `The gradient through ${node} is not defined.`, node.location);
  }
  const wanted = (index: number): boolean => {
    const input = node.inputs[index];
    return input !== null && input !== undefined && dependent.has(input);
  };
  const other = [...node.inputs, ...node.outputs].find(
    (value) => value?.dtype && isFloat(value.dtype) && value.dtype !== 'float32',
  );
  if (other) {
    throw unsupported('autodiff.dtype', `${node} computes in ${other.dtype}; training needs float32.`, node.location);
  }
  // A rule relies on the gradient of output 0.
  const first = outputGrads[0] ?? zerosLike(build, node.output());
  const results = grad({ node, build, wants: wanted, outputGrads: [first, ...outputGrads.slice(1)] });
  const gradients = new Map<number, Value>();
  results.forEach((gradient, index) => {
    if (!gradient || !wanted(index)) return;
    checkShape(node, index, gradient);
    gradients.set(index, gradient);
  });
  return gradients;
}

const zerosLike = (build: GraphBuilder, value: Value): Value =>
  build.op('Expand', [build.scalar(0), build.int64s((value.shape ?? []).map(Number))], {}, 'zeros');

function checkShape(node: Node, index: number, gradient: Value): void {
  const { shape } = node.input(index);
  if (shape && gradient.shape && sameShape(shape, gradient.shape)) return;
  throw new ModelpressError(
    'internal',
    'autodiff.gradient-shape',
    `The gradient rule of ${node} returned ${gradient} for input ${index} of shape ${formatShape(shape ?? [])}.`,
    node.location,
  );
}
