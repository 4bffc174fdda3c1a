/** @file DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT's encoder without token types and pooler. */
import type { Value } from '../graph';
import { structureOf } from './config';
import type { Head, TransformerConfig } from './config';
import { firstPositions, postNormEncoder } from './encoder';
import type { EncoderLayerNames } from './encoder';
import { encoderHead } from './encoder-head';
import { Network } from './network';
import type { BuiltModel } from './network';
import type { WeightSource } from './weights';

function layerNames(index: number): EncoderLayerNames {
  const layer = `distilbert.transformer.layer.${index}`;
  return {
    query: `${layer}.attention.q_lin`,
    key: `${layer}.attention.k_lin`,
    value: `${layer}.attention.v_lin`,
    output: `${layer}.attention.out_lin`,
    attentionNorm: `${layer}.sa_layer_norm`,
    intermediate: `${layer}.ffn.lin1`,
    ffnOutput: `${layer}.ffn.lin2`,
    outputNorm: `${layer}.output_layer_norm`,
  };
}

/** Inputs input_ids and attention_mask; output `logits` or `embedding`. */
export function buildDistilbert(config: TransformerConfig, head: Head, weights: WeightSource): BuiltModel {
  const net = new Network('distilbert', weights);
  const ids = net.tokenInput('input_ids');
  const mask = net.tokenInput('attention_mask');
  const table = (name: string, rows: number): Value =>
    net.embeddingTable(`distilbert.embeddings.${name}`, rows, config.hidden);
  const tokens = table('word_embeddings', config.vocabulary);
  const sum = net.build.scope('embeddings', () => {
    const words = net.build.op('Gather', [tokens, ids], {}, 'words');
    return net.add(words, firstPositions(net, ids, table('position_embeddings', config.positions)), 'sum');
  });
  const names = { embeddingNorm: 'distilbert.embeddings.LayerNorm', layer: layerNames };
  const hidden = postNormEncoder(net, sum, mask, config, names);
  const result = net.build.scope('head', () =>
    encoderHead(net, { hidden, mask, tokens }, config, head, {
      architecture: 'DistilBERT',
      pooler: 'pre_classifier',
      poolerActivation: 'relu',
      classifier: 'classifier',
      transform: 'vocab_transform',
      transformActivation: config.activation,
      transformNorm: 'vocab_layer_norm',
      decoderBias: 'vocab_projector.bias',
    }),
  );
  return net.finish(result, head.task === 'embedding' ? 'embedding' : 'logits', structureOf(config));
}
