/** @file TextCNN (Kim 2014, arXiv:1408.5882): convolutions of several widths over words, the largest response of each. */
import type { Value } from '../graph';
import { Network } from './network';
import type { BuiltModel } from './network';
import type { WeightSource } from './weights';

export interface TextCnnConfig {
  readonly vocabulary: number;
  readonly embedding: number;
  /** Widths of the convolutions, in tokens. */
  readonly kernels: readonly number[];
  /** Filters of each width. */
  readonly filters: number;
  /** Classes, or 1 for regression. */
  readonly outputs: number;
}

/**
 * Inputs input_ids and attention_mask; output `logits` [batch, outputs]. Windows are centred on tokens and see zeros
 * beyond the text, so the result does not depend on how far a batch is padded.
 */
export function buildTextCnn(config: TextCnnConfig, weights: WeightSource): BuiltModel {
  const { vocabulary, embedding, kernels, filters, outputs } = config;
  const net = new Network('textcnn', weights);
  const { build } = net;
  const ids = net.tokenInput('input_ids');
  const mask = build.op('Cast', [net.tokenInput('attention_mask')], { to: 1 }, 'tokens');
  const words = build.op('Gather', [net.embeddingTable('embedding', vocabulary, embedding), ids], {}, 'words');
  const visible = build.op('Mul', [words, build.op('Unsqueeze', [mask, build.int64s([2])])], {}, 'visible');
  const channels = build.op('Transpose', [visible], { perm: [0, 2, 1] }, 'channels');
  const row = build.op('Unsqueeze', [mask, build.int64s([1])], {}, 'row');
  const features = kernels.map((width, i) =>
    build.scope(`convolution.${i}`, () => strongest(net, channels, row, `convs.${i}`, { width, embedding, filters })),
  );
  const joined = features.length === 1 ? features[0] : build.op('Concat', features, { axis: 1 }, 'features');
  const logits = net.linear(joined, 'classifier', kernels.length * filters, outputs, { component: 'classifier' });
  return net.finish(logits, 'logits');
}

/**
 * max over tokens of relu(conv(x)), [batch, filters].
 * @param row 1 at tokens, [batch, 1, sequence]; relu is never below 0, so 0 elsewhere cannot win
 */
function strongest(
  net: Network,
  channels: Value,
  row: Value,
  name: string,
  { width, embedding, filters }: { readonly width: number; readonly embedding: number; readonly filters: number },
): Value {
  const { build } = net;
  const kernel = net.parameter(`${name}.weight`, [filters, embedding, width], 'matrix');
  const bias = net.parameter(`${name}.bias`, [filters], 'bias');
  const before = Math.floor((width - 1) / 2);
  const pads = [before, width - 1 - before];
  const response = net.activation(build.op('Conv', [channels, kernel, bias], { pads, kernel_shape: [width] }), 'relu');
  const atTokens = build.op('Mul', [response, row], {}, 'tokens');
  return build.op('ReduceMax', [atTokens, build.int64s([2])], { keepdims: 0 }, 'strongest');
}
