/** @file ONNX's LSTM op as plain steps, which have gradients. */
import { isStatic } from '../graph';
import type { Model, Node, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { unsupported } from '../errors';

/**
 * Replaces every LSTM node by its recurrence
 *   i, o, f = sigmoid(x W + h R + b), g = tanh(x W + h R + b), c <- f c + i g, h <- o tanh(c)
 * step by step. Parameters stay the initializers they were (gate order i, o, f, c), so that trained weights go straight
 * back into the model with the op. Beyond a text's length the states stay and the outputs are 0, as the op defines.
 * @param model with static shapes; changed in place
 * @throws `lstm.dynamic` for a symbolic sequence length
 */
export function unrollLstm(model: Model): void {
  const nodes = model.graph.nodes.filter((node) => node.opType === 'LSTM');
  for (const node of nodes) unroll(model, node);
  if (nodes.length > 0) model.graph.sort();
}

function unroll(model: Model, node: Node): void {
  const { shape } = node.input(0);
  if (!shape || !isStatic(shape)) {
    throw unsupported('lstm.dynamic', `${node} has a symbolic length; specialise the model first.`, node.location);
  }
  const build = new GraphBuilder(model);
  build.scope(node.name, () => {
    const mask = stepMasks(build, node.inputs[4] ?? null, shape[0]);
    const reverse = node.attribute('direction', 'string', 'forward');
    const order = { forward: [false], reverse: [true], bidirectional: [false, true] }[reverse] ?? [false];
    const results = order.map((backwards, direction) => run(build, node, direction, backwards, shape, mask));
    const stack = (values: Value[], axis: number): Value =>
      build.op(
        'Concat',
        values.map((value) => build.op('Unsqueeze', [value, build.int64s([axis])])),
        { axis },
      );
    const [states, lastHidden, lastCell] = node.outputs;
    const { graph } = model;
    graph.replaceAllUses(
      states,
      stack(
        results.map(({ outputs }) => outputs),
        1,
      ),
    );
    if (lastHidden)
      graph.replaceAllUses(
        lastHidden,
        stack(
          results.map(({ hidden }) => hidden),
          0,
        ),
      );
    if (lastCell)
      graph.replaceAllUses(
        lastCell,
        stack(
          results.map(({ cell }) => cell),
          0,
        ),
      );
    graph.removeNode(node);
  });
}

/** For each step a [batch, 1] column, 1 within the text; undefined when all texts have full length. */
function stepMasks(build: GraphBuilder, lengths: Value | null, steps: number): readonly Value[] | undefined {
  if (!lengths) return undefined;
  const column = build.op('Unsqueeze', [build.op('Cast', [lengths], { to: 7 }), build.int64s([1])]);
  const positions = build.int64s(Array.from({ length: steps }, (_, step) => step));
  const inside = build.op('Cast', [build.op('Less', [positions, column])], { to: 1 }, 'inside');
  return cut(build, inside, 1, steps);
}

interface DirectionResult {
  /** [sequence, batch, hidden]. */
  readonly outputs: Value;
  /** Last states, [batch, hidden]. */
  readonly hidden: Value;
  readonly cell: Value;
}

function run(
  build: GraphBuilder,
  node: Node,
  direction: number,
  backwards: boolean,
  [steps, batch]: readonly number[],
  masks: readonly Value[] | undefined,
): DirectionResult {
  const units = node.attribute('hidden_size', 'int', 0);
  const pick = (value: Value): Value => build.op('Gather', [value, build.scalar(direction, 'int64')], { axis: 0 });
  const transposed = (value: Value): Value => build.op('Transpose', [pick(value)], { perm: [1, 0] });
  const recurrent = transposed(node.input(2));
  const projected = build.op('MatMul', [node.input(0), transposed(node.input(1))], {}, 'projected');
  const bias = node.inputs[3];
  const biased = bias ? build.op('Add', [projected, sumOfHalves(build, pick(bias), units)]) : projected;
  const inputs = cut(build, biased, 0, steps).map((part) => build.op('Squeeze', [part, build.int64s([0])]));

  const zero = build.op('ConstantOfShape', [build.int64s([batch, units])], {}, 'zero');
  let state = { hidden: zero, cell: zero };
  const outputs: Value[] = Array.from({ length: steps });
  for (let i = 0; i < steps; i++) {
    const at = backwards ? steps - 1 - i : i;
    const next = step(build, inputs[at], state, recurrent, units);
    const mask = masks?.[at];
    state = mask
      ? { hidden: keep(build, mask, next.hidden, state.hidden), cell: keep(build, mask, next.cell, state.cell) }
      : next;
    outputs[at] = build.op('Unsqueeze', [mask ? build.op('Mul', [mask, next.hidden]) : next.hidden, build.int64s([0])]);
  }
  return { outputs: build.op('Concat', outputs, { axis: 0 }, 'outputs'), ...state };
}

/** Biases of the inputs and of the recurrence, which only occur as their sum. */
function sumOfHalves(build: GraphBuilder, bias: Value, units: number): Value {
  const [ofInput, ofRecurrence] = build.ops('Split', [bias, build.int64s([4 * units, 4 * units])], { axis: 0 }, 2);
  return build.op('Add', [ofInput, ofRecurrence], {}, 'bias');
}

function step(
  build: GraphBuilder,
  input: Value,
  state: { readonly hidden: Value; readonly cell: Value },
  recurrent: Value,
  units: number,
): { hidden: Value; cell: Value } {
  const sums = build.op('Add', [input, build.op('MatMul', [state.hidden, recurrent])], {}, 'gates');
  const sizes = build.int64s([3 * units, units]);
  const [gates, candidate] = build.ops('Split', [sums, sizes], { axis: 1 }, 2, 'gate');
  const open = build.op('Sigmoid', [gates]);
  const [i, o, f] = build.ops('Split', [open, build.int64s([units, units, units])], { axis: 1 }, 3, 'gate');
  const kept = build.op('Mul', [f, state.cell]);
  const cell = build.op('Add', [kept, build.op('Mul', [i, build.op('Tanh', [candidate])])], {}, 'cell');
  return { cell, hidden: build.op('Mul', [o, build.op('Tanh', [cell])], {}, 'hidden') };
}

/** mask ? next : old, as old + mask (next - old). */
function keep(build: GraphBuilder, mask: Value, next: Value, old: Value): Value {
  return build.op('Add', [old, build.op('Mul', [mask, build.op('Sub', [next, old])])], {}, 'state');
}

/** Slices of size 1 along an axis. */
function cut(build: GraphBuilder, value: Value, axis: number, count: number): readonly Value[] {
  if (count === 1) return [value];
  return build.ops('Split', [value, build.int64s(Array.from({ length: count }, () => 1))], { axis }, count, 'step');
}
