/** @file A DAN as an ONNX graph: n-gram rows in, logits out. */
import type { DanModel } from '@modelpress/dan';
import { Tensor } from '../graph';
import type { Value } from '../graph';
import { Network } from '../models/network';
import type { BuiltModel } from '../models/network';

/**
 * Inputs input_ids (slots of the perfect hash, padded with anything) and attention_mask; output `logits`.
 * @param model with a float32 table
 */
export function buildDanNetwork(model: DanModel): BuiltModel {
  const { dimension, hidden, labels, pooling, table, hash } = model;
  if (table.type !== 'float32') throw new TypeError('The graph is built from float32 rows.');
  const weights: Record<string, Float32Array> = {
    'embedding.weight': table.rows,
    'dense.weight': model.w1,
    'dense.bias': model.b1,
    'classifier.weight': model.w2,
    'classifier.bias': model.b2,
    ...(model.attention ? { 'attention.query': model.attention } : {}),
  };
  const net = new Network('dan', (name, dims) => Tensor.float32(dims, weights[name]));
  const { build } = net;
  const ids = net.tokenInput('input_ids');
  const mask = build.op('Cast', [net.tokenInput('attention_mask')], { to: 1 }, 'known');
  const column = build.op('Unsqueeze', [mask, build.int64s([2])], {}, 'column');
  const rows = build.op(
    'Gather',
    [net.embeddingTable('embedding', hash.fingerprints.length, dimension), ids],
    {},
    'rows',
  );
  const pooled = build.scope('pool', () => pool(net, rows, mask, column, pooling));
  const active = net.activation(net.linear(pooled, 'dense', dimension, hidden, { component: 'W_P' }), 'relu');
  return net.finish(net.linear(active, 'classifier', hidden, labels.length, { component: 'classifier' }), 'logits');
}

/** [batch, dimension]; zeros for a text without n-grams. */
function pool(net: Network, rows: Value, mask: Value, column: Value, pooling: DanModel['pooling']): Value {
  const { build } = net;
  const axis = build.int64s([1]);
  const count = build.op('ReduceSum', [mask, axis], { keepdims: 1 }, 'count');
  if (pooling === 'max') {
    const hidden = build.op('Mul', [build.op('Sub', [column, build.scalar(1)]), build.scalar(1e30)]);
    const largest = build.op('ReduceMax', [build.op('Add', [rows, hidden]), axis], { keepdims: 0 }, 'largest');
    return build.op('Mul', [largest, build.op('Min', [count, build.scalar(1)])], {}, 'max');
  }
  if (pooling === 'attentive') return attend(net, rows, column, axis);
  const sum = build.op('ReduceSum', [build.op('Mul', [rows, column]), axis], { keepdims: 0 }, 'sum');
  return pooling === 'sum' ? sum : build.op('Div', [sum, build.op('Max', [count, build.scalar(1)])], {}, 'mean');
}

/** Rows weighed by the softmax of their products with the query; zeros for a text without n-grams. */
function attend(net: Network, rows: Value, column: Value, axis: Value): Value {
  const { build } = net;
  const width = (rows.shape as readonly number[])[2];
  const scores = build.op('MatMul', [rows, net.parameter('attention.query', [width, 1], 'matrix')], {}, 'scores');
  const hidden = build.op('Mul', [build.op('Sub', [column, build.scalar(1)]), build.scalar(1e30)]);
  const weights = build.op('Softmax', [build.op('Add', [scores, hidden])], { axis: 1 }, 'weights');
  const known = build.op('Mul', [weights, column]);
  return build.op('ReduceSum', [build.op('Mul', [rows, known]), axis], { keepdims: 0 }, 'attended');
}
