/** @file BERT (Devlin et al. 2019, arXiv:1810.04805). */
import type { Value } from '../graph';
import type { Head, TransformerConfig } from './config';
import { firstPositions, postNormEncoder } from './encoder';
import type { EncoderLayerNames } from './encoder';
import { encoderHead } from './encoder-head';
import { Network } from './network';
import type { BuiltModel } from './network';
import { structureOf } from './config';
import type { WeightSource } from './weights';

/** Names below `<prefix>.encoder.layer.<i>`, which RoBERTa has too. */
export function bertLayerNames(prefix: string, index: number): EncoderLayerNames {
  const layer = `${prefix}.encoder.layer.${index}`;
  return {
    query: `${layer}.attention.self.query`,
    key: `${layer}.attention.self.key`,
    value: `${layer}.attention.self.value`,
    output: `${layer}.attention.output.dense`,
    attentionNorm: `${layer}.attention.output.LayerNorm`,
    intermediate: `${layer}.intermediate.dense`,
    ffnOutput: `${layer}.output.dense`,
    outputNorm: `${layer}.output.LayerNorm`,
  };
}

/** Inputs input_ids, attention_mask and, with token types, token_type_ids; output `logits` (or `embedding`). */
export function buildBert(config: TransformerConfig, head: Head, weights: WeightSource): BuiltModel {
  const net = new Network('bert', weights);
  const ids = net.tokenInput('input_ids');
  const mask = net.tokenInput('attention_mask');
  const { tokens, sum } = embeddings(net, ids, config);
  const hidden = postNormEncoder(net, sum, mask, config, {
    embeddingNorm: 'bert.embeddings.LayerNorm',
    layer: (index) => bertLayerNames('bert', index),
  });
  const result = net.build.scope('head', () =>
    encoderHead(net, { hidden, mask, tokens }, config, head, {
      architecture: 'BERT',
      pooler: 'bert.pooler.dense',
      poolerActivation: 'tanh',
      classifier: 'classifier',
      transform: 'cls.predictions.transform.dense',
      transformActivation: config.activation,
      transformNorm: 'cls.predictions.transform.LayerNorm',
      decoderBias: 'cls.predictions.bias',
    }),
  );
  return net.finish(result, head.task === 'embedding' ? 'embedding' : 'logits', structureOf(config));
}

function embeddings(net: Network, ids: Value, config: TransformerConfig): { tokens: Value; sum: Value } {
  const { hidden, vocabulary, positions, typeVocabulary } = config;
  const table = (name: string, rows: number): Value => net.embeddingTable(`bert.embeddings.${name}`, rows, hidden);
  return net.build.scope('embeddings', () => {
    const tokens = table('word_embeddings', vocabulary);
    const positionTable = table('position_embeddings', positions);
    const words = net.build.op('Gather', [tokens, ids], {}, 'words');
    const placed = net.add(words, firstPositions(net, ids, positionTable), 'sum');
    if (typeVocabulary === 0) return { tokens, sum: placed };
    const types = table('token_type_embeddings', typeVocabulary);
    const typed = net.build.op('Gather', [types, net.tokenInput('token_type_ids')], {}, 'types');
    return { tokens, sum: net.add(placed, typed, 'sum') };
  });
}
