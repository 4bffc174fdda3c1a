/** @file DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT's encoder without token types and pooler. */
import { unsupported } from '../errors';
import type { Value } from '../graph';
import { structureOf } from './config';
import type { Head, TransformerConfig } from './config';
import { firstPositions, postNormEncoder } from './encoder';
import type { EncoderLayerNames } from './encoder';
import { firstToken, meanPooling, selectedStates, tiedDecoder } from './heads';
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
  const result = net.build.scope('head', () => distilbertHead(net, hidden, mask, tokens, config, head));
  return net.finish(result, head.task === 'embedding' ? 'embedding' : 'logits', structureOf(config));
}

function distilbertHead(
  net: Network,
  hidden: Value,
  mask: Value,
  tokens: Value,
  { hidden: width, activation, layerNormEpsilon }: TransformerConfig,
  head: Head,
): Value {
  switch (head.task) {
    case 'classification':
    case 'pair-classification':
    case 'regression': {
      const dense = net.linear(firstToken(net, hidden), 'pre_classifier', width, width, { component: 'W_P' });
      const labels = head.task === 'regression' ? 1 : head.labels;
      return net.linear(net.activation(dense, 'relu'), 'classifier', width, labels, { component: 'classifier' });
    }
    case 'masked-lm': {
      const states = head.selected ? selectedStates(net, hidden) : hidden;
      const active = net.activation(net.linear(states, 'vocab_transform', width, width), activation);
      const normed = net.layerNorm(active, 'vocab_layer_norm', width, layerNormEpsilon);
      return tiedDecoder(net, normed, tokens, 'vocab_projector.bias');
    }
    case 'embedding':
      return meanPooling(net.build, hidden, mask, head.normalize);
    case 'causal-lm':
      throw unsupported('model.task', 'DistilBERT cannot generate text: use gpt2 for the task causal-lm.', {
        field: 'task',
      });
  }
}
