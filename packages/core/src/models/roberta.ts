/** @file RoBERTa (Liu et al. 2019, arXiv:1907.11692): BERT's encoder, positions counted from the padding id. */
import { unsupported } from '../errors';
import type { Value } from '../graph';
import { bertLayerNames } from './bert';
import { structureOf } from './config';
import type { Head, TransformerConfig } from './config';
import { postNormEncoder } from './encoder';
import { encoderHead } from './encoder-head';
import { Network } from './network';
import type { BuiltModel } from './network';
import type { WeightSource } from './weights';

/** Inputs input_ids and attention_mask (one token type, therefore no token_type_ids); output `logits` or `embedding`. */
export function buildRoberta(config: TransformerConfig, head: Head, weights: WeightSource): BuiltModel {
  const net = new Network('roberta', weights);
  const ids = net.tokenInput('input_ids');
  const mask = net.tokenInput('attention_mask');
  const { tokens, sum } = embeddings(net, ids, config);
  const hidden = postNormEncoder(net, sum, mask, config, {
    embeddingNorm: 'roberta.embeddings.LayerNorm',
    layer: (index) => bertLayerNames('roberta', index),
  });
  const result = net.build.scope('head', () =>
    encoderHead(net, { hidden, mask, tokens }, config, head, {
      architecture: 'RoBERTa',
      pooler: 'classifier.dense',
      poolerActivation: 'tanh',
      classifier: 'classifier.out_proj',
      transform: 'lm_head.dense',
      transformActivation: 'gelu',
      transformNorm: 'lm_head.layer_norm',
      decoderBias: 'lm_head.bias',
    }),
  );
  return net.finish(result, head.task === 'embedding' ? 'embedding' : 'logits', structureOf(config));
}

function embeddings(net: Network, ids: Value, config: TransformerConfig): { tokens: Value; sum: Value } {
  const { hidden, vocabulary, positions, typeVocabulary, padId } = config;
  if (padId === undefined)
    throw unsupported('model.pad-id', 'RoBERTa needs a padding id: its positions count from it.');
  const table = (name: string, rows: number): Value => net.embeddingTable(`roberta.embeddings.${name}`, rows, hidden);
  return net.build.scope('embeddings', () => {
    const tokens = table('word_embeddings', vocabulary);
    const words = net.build.op('Gather', [tokens, ids], {}, 'words');
    const places = net.build.op(
      'Gather',
      [table('position_embeddings', positions), positionIds(net, ids, padId)],
      {},
      'positions',
    );
    const placed = net.add(words, places, 'sum');
    if (typeVocabulary === 0) return { tokens, sum: placed };
    const types = table('token_type_embeddings', typeVocabulary);
    const first = net.build.op('Gather', [types, net.build.scalar(0, 'int64')], {}, 'type');
    return { tokens, sum: net.add(placed, first, 'sum') };
  });
}

/** Tokens count up from padId + 1, padding stays at padId; [batch, sequence]. */
function positionIds(net: Network, ids: Value, padId: number): Value {
  const { build } = net;
  const padding = build.op('Equal', [ids, build.scalar(padId, 'int64')], {}, 'padding');
  const tokens = build.op('Cast', [build.op('Not', [padding])], { to: 7 }, 'tokens');
  const counted = build.op('CumSum', [tokens, build.scalar(1, 'int64')], {}, 'counted');
  return build.op('Add', [build.op('Mul', [counted, tokens]), build.scalar(padId, 'int64')], {}, 'position_ids');
}
