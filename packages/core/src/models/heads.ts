/** @file What follows the last hidden states, in the parts that architectures share. */
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import type { Network } from './network';

/** The hidden state of the first token, [batch, hidden]. */
export function firstToken(net: Network, hidden: Value): Value {
  return net.build.op('Gather', [hidden, net.build.scalar(0, 'int64')], { axis: 1 }, 'first');
}

/**
 * Mean of the hidden states over tokens (mask 1), as sentence encoders pool; scaled to length 1 if `normalize`.
 * @returns [batch, hidden]; zeros for a text without tokens
 */
export function meanPooling(build: GraphBuilder, hidden: Value, attentionMaskInput: Value, normalize: boolean): Value {
  return build.scope('pooling', () => {
    const tokens = build.op('Cast', [attentionMaskInput], { to: 1 }, 'tokens');
    const row = build.op('Unsqueeze', [tokens, build.int64s([1])], {}, 'row');
    const total = build.op('Squeeze', [build.op('MatMul', [row, hidden]), build.int64s([1])], {}, 'total');
    const count = build.op('ReduceSum', [tokens, build.int64s([1])], { keepdims: 1 }, 'count');
    const mean = build.op('Div', [total, build.op('Max', [count, build.scalar(1e-9)])], {}, 'mean');
    return normalize ? unitLength(build, mean) : mean;
  });
}

/** x / max(|x|, 1e-12) over the last axis. */
function unitLength(build: GraphBuilder, x: Value): Value {
  const squares = build.op('ReduceSum', [build.op('Mul', [x, x]), build.int64s([-1])], { keepdims: 1 }, 'squares');
  const length = build.op('Sqrt', [build.op('Max', [squares, build.scalar(1e-24)])], {}, 'length');
  return build.op('Div', [x, length], {}, 'unit');
}

/**
 * Hidden states at the positions in the input `selected_positions` (int64 [selected], counted over the whole batch, row
 * by row), [selected, hidden].
 */
export function selectedStates(net: Network, hidden: Value): Value {
  const { build } = net;
  const width = hidden.shape!.at(-1) as number;
  const rows = build.op('Reshape', [hidden, build.int64s([-1, width])], {}, 'rows');
  return build.op('Gather', [rows, build.input('selected_positions', 'int64', ['selected'])], {}, 'selected');
}

/**
 * Vocabulary logits with the token table as decoder: x E^T (+ bias).
 * @param x [..., hidden]
 * @returns [..., vocabulary]
 */
export function tiedDecoder(net: Network, x: Value, table: Value, bias?: string): Value {
  const { build } = net;
  return build.scope('decoder', () => {
    const logits = build.op('MatMul', [x, build.op('Transpose', [table], { perm: [1, 0] })], {}, 'logits');
    if (!bias) return logits;
    const rows = table.constant!.dims[0];
    return build.op('Add', [logits, net.parameter(bias, [rows], 'bias')], {}, 'bias');
  });
}

/**
 * The hidden state at the last position that holds a token, [batch, hidden]; of a row without one, the first position's.
 * @param isToken [batch, sequence], int64 1 or 0
 */
export function lastToken(net: Network, hidden: Value, isToken: Value): Value {
  const { build } = net;
  return build.scope('last', () => {
    const positions = net.positions(isToken);
    const last = build.op('ReduceMax', [build.op('Mul', [isToken, positions]), build.int64s([1])], { keepdims: 1 });
    const chosen = build.op('Cast', [build.op('Equal', [last, positions])], { to: 1 }, 'chosen');
    const row = build.op('Unsqueeze', [chosen, build.int64s([1])], {}, 'row');
    return build.op('Squeeze', [build.op('MatMul', [row, hidden]), build.int64s([1])], {}, 'state');
  });
}

/** Whether `meanPooling` was asked to scale this value to length 1. */
export function isUnitLength(value: Value): boolean {
  const { producer } = value;
  return producer?.opType === 'Div' && producer.input(1).producer?.opType === 'Sqrt';
}
