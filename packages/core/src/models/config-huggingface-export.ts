/** @file config.json of a model that is exported to Hugging Face. */
import { unsupported } from '../errors';
import type { Task } from '../bundle/manifest';
import type { Activation, TransformerArchitecture, TransformerConfig } from './config';
import { ACTIVATIONS } from './config-huggingface';
import type { HuggingFaceConfig } from './config-huggingface';

/**
 * The configuration of an exported model: the original's fields with sizes, labels and class set to what the model is.
 * @throws `export.shape` when the architecture has no words for the sizes (layers that differ, heads whose query,
 *   value and hidden sizes do not match), with the reason
 */
export function configToHuggingFace(
  original: HuggingFaceConfig,
  config: TransformerConfig,
  task: Task,
  labels: readonly string[],
): HuggingFaceConfig {
  const { heads, ffn } = uniformSizes(config);
  const classifier = task === 'classification' || task === 'pair-classification';
  return {
    ...original,
    ...SIZE_FIELDS[config.architecture](config, heads, ffn),
    ...activationField(original, config),
    ...(classifier ? labelFields(labels) : {}),
    ...(task === 'regression' ? { ...labelFields(['LABEL_0']), problem_type: 'regression' } : {}),
    model_type: config.architecture,
    vocab_size: config.vocabulary,
    pad_token_id: config.padId ?? null,
    initializer_range: config.initializerRange,
    architectures: [className(config.architecture, task)],
    [original['torch_dtype'] === undefined ? 'dtype' : 'torch_dtype']: 'float32',
  };
}

/** The fields of config.json that name the classes. */
export const labelFields = (labels: readonly string[]): HuggingFaceConfig => ({
  id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
  label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
});

function uniformSizes({ layers, hidden, headSize }: TransformerConfig): { heads: number; ffn: number } {
  const [first] = layers;
  if (!first) throw exportRefusal('it has no layers left');
  layers.forEach(({ heads, queryDims, valueDims, ffn, attentionOutputs, ffnOutputs }, i) => {
    if (attentionOutputs ?? ffnOutputs)
      throw exportRefusal(`layer ${i} writes only some of the ${hidden} hidden dimensions`);
    if (heads !== first.heads) throw exportRefusal(`layer ${i} has ${heads} heads and layer 0 has ${first.heads}`);
    if (ffn !== first.ffn)
      throw exportRefusal(`layer ${i} has ${ffn} feed-forward neurons and layer 0 has ${first.ffn}`);
    const odd = [...queryDims, ...valueDims].find((dim) => dim !== headSize);
    if (odd !== undefined) throw exportRefusal(`a head of layer ${i} has ${odd} dimensions instead of ${headSize}`);
  });
  if (first.ffn === 0) throw exportRefusal('its layers have no feed-forward neurons left');
  if (first.heads * headSize !== hidden) {
    throw exportRefusal(`its ${first.heads} heads of ${headSize} do not add up to the hidden size ${hidden}`);
  }
  return { heads: first.heads, ffn: first.ffn };
}

const exportRefusal = (reason: string): Error =>
  unsupported(
    'export.shape',
    `The model cannot be written as a Hugging Face checkpoint: ${reason}, and config.json has no field for that. Use model.onnx instead.`,
  );

const SIZE_FIELDS: Readonly<
  Record<TransformerArchitecture, (config: TransformerConfig, heads: number, ffn: number) => HuggingFaceConfig>
> = {
  bert: bertFields,
  roberta: bertFields,
  distilbert: (c, heads, ffn) => ({
    dim: c.hidden,
    n_layers: c.layers.length,
    n_heads: heads,
    hidden_dim: ffn,
    max_position_embeddings: c.positions,
  }),
  gpt2: (c, heads, ffn) => ({
    n_embd: c.hidden,
    n_layer: c.layers.length,
    n_head: heads,
    n_inner: ffn === 4 * c.hidden ? null : ffn,
    n_positions: c.positions,
    layer_norm_epsilon: c.layerNormEpsilon,
  }),
};

function bertFields(c: TransformerConfig, heads: number, ffn: number): HuggingFaceConfig {
  return {
    hidden_size: c.hidden,
    num_hidden_layers: c.layers.length,
    num_attention_heads: heads,
    intermediate_size: ffn,
    max_position_embeddings: c.positions,
    type_vocab_size: c.typeVocabulary,
    layer_norm_eps: c.layerNormEpsilon,
  };
}

/** Keeps the original's spelling where it means the same function. */
function activationField(
  original: HuggingFaceConfig,
  { architecture, activation }: TransformerConfig,
): HuggingFaceConfig {
  const field = ACTIVATION_FIELDS[architecture];
  const name = original[field];
  const same = typeof name === 'string' && ACTIVATIONS[name] === activation;
  return { [field]: same ? name : ACTIVATION_NAMES[activation] };
}

const ACTIVATION_FIELDS: Readonly<Record<TransformerArchitecture, string>> = {
  bert: 'hidden_act',
  roberta: 'hidden_act',
  distilbert: 'activation',
  gpt2: 'activation_function',
};

const ACTIVATION_NAMES: Readonly<Record<Activation, string>> = {
  gelu: 'gelu',
  'gelu-tanh': 'gelu_new',
  relu: 'relu',
  silu: 'silu',
  tanh: 'tanh',
};

const CLASS_PREFIX: Readonly<Record<TransformerArchitecture, string>> = {
  bert: 'Bert',
  roberta: 'Roberta',
  distilbert: 'DistilBert',
  gpt2: 'GPT2',
};

function className(architecture: TransformerArchitecture, task: Task): string {
  const suffix: Readonly<Record<Task, string>> = {
    classification: 'ForSequenceClassification',
    'pair-classification': 'ForSequenceClassification',
    regression: 'ForSequenceClassification',
    'masked-lm': 'ForMaskedLM',
    'causal-lm': 'LMHeadModel',
    embedding: 'Model',
  };
  return CLASS_PREFIX[architecture] + suffix[task];
}
