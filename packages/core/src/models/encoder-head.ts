/** @file The heads of BERT-like encoders: architectures differ in names and activations only. */
import type { Value } from '../graph';
import { unsupported } from '../errors';
import type { Head, TransformerConfig } from './config';
import { firstToken, meanPooling, selectedStates, tiedDecoder } from './heads';
import type { Network } from './network';

type Activation = TransformerConfig['activation'] | 'tanh';

/** Parameter names and activations of one architecture's heads. */
export interface EncoderHeadNames {
  /** As users know it, for errors. */
  readonly architecture: string;
  readonly pooler: string;
  readonly poolerActivation: Activation;
  readonly classifier: string;
  /** Masked LM: dense, activation, layer norm, tied decoder. */
  readonly transform: string;
  readonly transformActivation: Activation;
  readonly transformNorm: string;
  readonly decoderBias: string;
}

/** What a head reads. */
export interface EncoderOutputs {
  /** Last hidden states, [batch, sequence, hidden]. */
  readonly hidden: Value;
  /** attention_mask, [batch, sequence]. */
  readonly mask: Value;
  /** Word embeddings, [vocabulary, hidden]: the masked LM's decoder. */
  readonly tokens: Value;
}

/**
 * Classes or a score from the first token, vocabulary logits, or the mean of the hidden states.
 * @throws ModelpressError `model.task` for causal-lm: an encoder sees what comes after
 */
export function encoderHead(
  net: Network,
  { hidden, mask, tokens }: EncoderOutputs,
  { hidden: width, layerNormEpsilon }: TransformerConfig,
  head: Head,
  names: EncoderHeadNames,
): Value {
  switch (head.task) {
    case 'classification':
    case 'pair-classification':
    case 'regression': {
      const dense = net.linear(firstToken(net, hidden), names.pooler, width, width, { component: 'W_P' });
      const pooled = net.activation(dense, names.poolerActivation);
      const labels = head.task === 'regression' ? 1 : head.labels;
      return net.linear(pooled, names.classifier, width, labels, { component: 'classifier' });
    }
    case 'masked-lm': {
      const states = head.selected ? selectedStates(net, hidden) : hidden;
      const active = net.activation(net.linear(states, names.transform, width, width), names.transformActivation);
      return tiedDecoder(
        net,
        net.layerNorm(active, names.transformNorm, width, layerNormEpsilon),
        tokens,
        names.decoderBias,
      );
    }
    case 'embedding':
      return meanPooling(net.build, hidden, mask, head.normalize);
    case 'causal-lm':
      throw unsupported('model.task', `${names.architecture} cannot generate text: use gpt2 for the task causal-lm.`, {
        field: 'task',
      });
  }
}
