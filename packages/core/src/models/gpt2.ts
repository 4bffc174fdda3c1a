/** @file GPT-2 (Radford et al. 2019): a pre-norm causal decoder. */
import { unsupported } from '../errors';
import type { Value } from '../graph';
import { attention, attentionMask, hasHeads } from './attention';
import type { AttentionNames } from './attention';
import { structureOf } from './config';
import type { Head, TransformerConfig } from './config';
import { feedForward, firstPositions } from './encoder';
import { lastToken, meanPooling, tiedDecoder } from './heads';
import { Network } from './network';
import type { BuiltModel } from './network';
import type { WeightSource } from './weights';

/** The checkpoint fuses query, key and value in `c_attn`; here they are three, so that each can be pruned by itself. */
function attentionNames(layer: string): AttentionNames {
  return {
    query: `${layer}.attn.c_attn.query`,
    key: `${layer}.attn.c_attn.key`,
    value: `${layer}.attn.c_attn.value`,
    output: `${layer}.attn.c_proj`,
  };
}

/** Inputs input_ids and attention_mask (texts padded on the right); output `logits` or `embedding`. */
export function buildGpt2(config: TransformerConfig, head: Head, weights: WeightSource): BuiltModel {
  const net = new Network('gpt2', weights);
  const ids = net.tokenInput('input_ids');
  const maskInput = net.tokenInput('attention_mask');
  const { hidden: width, layerNormEpsilon: epsilon } = config;
  const tokens = net.embeddingTable('transformer.wte', config.vocabulary, width);
  const mask = attentionMask(net, maskInput, true);
  let x = net.build.scope('embeddings', () => {
    const positions = net.embeddingTable('transformer.wpe', config.positions, width);
    return net.add(net.build.op('Gather', [tokens, ids], {}, 'words'), firstPositions(net, ids, positions), 'sum');
  });
  config.layers.forEach((sizes, index) => {
    const layer = `transformer.h.${index}`;
    x = net.build.scope(`layer.${index}.attention`, () => {
      const options = { hidden: width, headSize: config.headSize, layer: index, mask };
      const normed = hasHeads(sizes) ? net.layerNorm(x, `${layer}.ln_1`, width, epsilon) : x;
      return net.add(attention(net, normed, attentionNames(layer), sizes, options), x);
    });
    x = net.build.scope(`layer.${index}.ffn`, () => {
      const normed = sizes.ffn > 0 ? net.layerNorm(x, `${layer}.ln_2`, width, epsilon) : x;
      return net.add(feedForward(net, normed, `${layer}.mlp.c_fc`, `${layer}.mlp.c_proj`, config, index), x);
    });
  });
  const last = net.layerNorm(x, 'transformer.ln_f', width, epsilon);
  const result = net.build.scope('head', () => gpt2Head(net, last, ids, maskInput, tokens, config, head));
  return net.finish(result, head.task === 'embedding' ? 'embedding' : 'logits', structureOf(config));
}

function gpt2Head(
  net: Network,
  hidden: Value,
  ids: Value,
  mask: Value,
  tokens: Value,
  { hidden: width, padId }: TransformerConfig,
  head: Head,
): Value {
  switch (head.task) {
    case 'classification':
    case 'pair-classification':
    case 'regression': {
      const state = lastToken(net, hidden, padId === undefined ? mask : notPadding(net, ids, padId));
      const labels = head.task === 'regression' ? 1 : head.labels;
      return net.linear(state, 'score', width, labels, { component: 'classifier', bias: false });
    }
    case 'causal-lm':
      return tiedDecoder(net, hidden, tokens);
    case 'embedding':
      return meanPooling(net.build, hidden, mask, head.normalize);
    case 'masked-lm':
      throw unsupported('model.task', 'GPT-2 sees only the past: use bert or roberta for the task masked-lm.', {
        field: 'task',
      });
  }
}

/** Which ids are not the padding id, as transformers decides it: by id, not by mask. */
function notPadding(net: Network, ids: Value, padId: number): Value {
  const padding = net.build.op('Equal', [ids, net.build.scalar(padId, 'int64')], {}, 'padding');
  return net.build.op('Cast', [net.build.op('Not', [padding])], { to: 7 }, 'tokens');
}
