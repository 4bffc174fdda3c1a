/** @file A bidirectional LSTM classifier, as BERT was first distilled into (Tang et al. 2019, arXiv:1903.12136). */
import type { Value } from '../graph';
import { Network } from './network';
import type { BuiltModel } from './network';
import type { WeightSource } from './weights';

export interface BilstmConfig {
  readonly vocabulary: number;
  readonly embedding: number;
  /** Units of each direction. */
  readonly hidden: number;
  readonly layers: number;
  /** Neurons between the last states and the classifier. */
  readonly dense: number;
  /** Classes, or 1 for regression. */
  readonly outputs: number;
}

/**
 * Inputs input_ids and attention_mask (texts padded on the right); output `logits` [batch, outputs]. The recurrence is
 * ONNX's LSTM op, fast and of any length; `unrollLstm` replaces it by differentiable steps, on the same parameters.
 */
export function buildBilstm(config: BilstmConfig, weights: WeightSource): BuiltModel {
  const { vocabulary, embedding, hidden, layers, dense, outputs } = config;
  const net = new Network('bilstm', weights);
  const { build } = net;
  const ids = net.tokenInput('input_ids');
  const mask = net.tokenInput('attention_mask');
  const lengths = tokenCounts(net, mask);
  const words = build.op('Gather', [net.embeddingTable('embedding', vocabulary, embedding), ids], {}, 'words');
  let sequence = build.op('Transpose', [words], { perm: [1, 0, 2] }, 'steps');
  let last = sequence;
  for (let layer = 0; layer < layers; layer++) {
    const width = layer === 0 ? embedding : 2 * hidden;
    [sequence, last] = build.scope(`lstm.${layer}`, () => bidirectional(net, sequence, lengths, layer, width, hidden));
  }
  const states = build.op('Reshape', [
    build.op('Transpose', [last], { perm: [1, 0, 2] }),
    build.int64s([0, 2 * hidden]),
  ]);
  const active = net.activation(net.linear(states, 'dense', 2 * hidden, dense, { component: 'W_P' }), 'relu');
  return net.finish(net.linear(active, 'classifier', dense, outputs, { component: 'classifier' }), 'logits');
}

/** Tokens of each text, at least 1, int32 [batch]. */
function tokenCounts(net: Network, mask: Value): Value {
  const { build } = net;
  const sum = build.op('ReduceSum', [mask, build.int64s([1])], { keepdims: 0 }, 'tokens');
  return build.op('Cast', [build.op('Max', [sum, build.scalar(1, 'int64')])], { to: 6 }, 'lengths');
}

/**
 * One layer in both directions.
 * @param x [sequence, batch, width]
 * @returns all states [sequence, batch, 2 hidden] and the last ones [2, batch, hidden]
 */
function bidirectional(
  net: Network,
  x: Value,
  lengths: Value,
  layer: number,
  width: number,
  hidden: number,
): [Value, Value] {
  const { build } = net;
  const name = `lstm.${layer}`;
  const inputs = [
    x,
    net.parameter(`${name}.input.weight`, [2, 4 * hidden, width], 'matrix'),
    net.parameter(`${name}.recurrent.weight`, [2, 4 * hidden, hidden], 'matrix'),
    net.parameter(`${name}.bias`, [2, 8 * hidden], 'bias'),
    lengths,
  ];
  const [states, last] = build.ops('LSTM', inputs, { hidden_size: hidden, direction: 'bidirectional' }, 2, 'states');
  const together = build.op('Transpose', [states], { perm: [0, 2, 1, 3] });
  return [build.op('Reshape', [together, build.int64s([0, 0, 2 * hidden])], {}, 'joined'), last];
}
