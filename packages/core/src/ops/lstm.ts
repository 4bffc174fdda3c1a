/** @file The recurrent op; training unrolls it first (see `models/unroll-lstm.ts`). */
import type { Node } from '../graph';
import type { OpRule } from './rule';
import { shapeError, staticShape, unsupportedForm } from './shapes';

/** Directions by the attribute's value. */
const DIRECTIONS: Readonly<Record<string, number>> = { forward: 1, reverse: 1, bidirectional: 2 };

function checkForm(node: Node): void {
  if (node.attribute('layout', 'int', 0) !== 0) throw unsupportedForm(node, 'has the batch-first layout.');
  if (node.inputs.slice(5).some((input) => input !== null)) {
    throw unsupportedForm(node, 'starts from given states or has peepholes.');
  }
  const special = ['activations', 'activation_alpha', 'activation_beta', 'clip', 'input_forget'].find((name) =>
    node.attributes.has(name),
  );
  if (special) throw unsupportedForm(node, `has the attribute "${special}".`);
}

/** x [S, N, I], W [D, 4 H, I], R [D, 4 H, H] -> Y [S, D, N, H], last h [D, N, H], last c [D, N, H]. */
export const LSTM: OpRule = {
  infer: ({ node, type, shape }) => {
    checkForm(node);
    const directions = DIRECTIONS[node.attribute('direction', 'string', 'forward')];
    const [x, recurrent] = [shape(0), shape(2)];
    if (x.length !== 3 || recurrent.length !== 3 || recurrent[0] !== directions) {
      throw shapeError(node, `weights of ${recurrent[0]} directions do not fit ${directions}.`);
    }
    const [sequence, batch] = x;
    const hidden = recurrent[2];
    const { dtype } = type(0);
    const last = { dtype, shape: [directions, batch, hidden] };
    return [{ dtype, shape: [sequence, directions, batch, hidden] }, last, last];
  },
  grad: 'forbidden',
  flops: (node) => {
    const [sequence, batch, inputs] = staticShape(node.input(0), node);
    const [directions, gates, hidden] = staticShape(node.input(2), node);
    return 2 * sequence * batch * directions * gates * (inputs + hidden);
  },
};
