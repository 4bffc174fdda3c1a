/** @file The post-norm encoder that BERT, RoBERTa and DistilBERT share: they differ in names, embeddings and heads. */
import type { Value } from '../graph';
import { attention, attentionMask } from './attention';
import type { AttentionNames } from './attention';
import type { TransformerConfig } from './config';
import type { Network } from './network';

/** Parameter names of one layer, without `.weight` and `.bias`. */
export interface EncoderLayerNames extends AttentionNames {
  readonly attentionNorm: string;
  readonly intermediate: string;
  readonly ffnOutput: string;
  readonly outputNorm: string;
}

/**
 * Embeddings (already summed) through LayerNorm and all layers:
 * x <- LN(x + Attention(x)), x <- LN(x + W_O act(W_I x)).
 * @param x [batch, sequence, hidden]
 */
export function postNormEncoder(
  net: Network,
  x: Value,
  attentionMaskInput: Value,
  config: TransformerConfig,
  names: { readonly embeddingNorm: string; layer(index: number): EncoderLayerNames },
): Value {
  const { hidden, layerNormEpsilon: epsilon } = config;
  const mask = attentionMask(net, attentionMaskInput, false);
  let state = net.build.scope('embeddings', () => net.layerNorm(x, names.embeddingNorm, hidden, epsilon));
  config.layers.forEach((sizes, index) => {
    const layer = names.layer(index);
    state = net.build.scope(`layer.${index}.attention`, () => {
      const options = { hidden, headSize: config.headSize, layer: index, mask };
      const attended = attention(net, state, layer, sizes, options);
      return net.layerNorm(net.add(attended, state), layer.attentionNorm, hidden, epsilon);
    });
    state = net.build.scope(`layer.${index}.ffn`, () => {
      const transformed = feedForward(net, state, layer.intermediate, layer.ffnOutput, config, index);
      return net.layerNorm(net.add(transformed, state), layer.outputNorm, hidden, epsilon);
    });
  });
  return state;
}

/** W_O act(W_I x + b_I) + b_O; without neurons only b_O. */
export function feedForward(
  net: Network,
  x: Value,
  intermediate: string,
  output: string,
  { hidden, layers, activation }: TransformerConfig,
  layer: number,
): Value {
  const { ffn: neurons, ffnOutputs: kept } = layers[layer];
  if (neurons === 0) return net.parameter(`${output}.bias`, [hidden], 'bias');
  const active = net.activation(net.linear(x, intermediate, hidden, neurons, { component: 'W_I', layer }), activation);
  return net.linear(active, output, neurons, hidden, { component: 'W_O', layer, ...(kept && { kept }) });
}

/** Rows 0..sequence-1 of a position table, [sequence, hidden]. */
export function firstPositions(net: Network, ids: Value, table: Value): Value {
  const { build } = net;
  return build.op('Slice', [table, build.int64s([0]), net.sequenceLength(ids), build.int64s([0])], {}, 'positions');
}
