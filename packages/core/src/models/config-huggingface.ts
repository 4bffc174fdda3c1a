/** @file config.json of Hugging Face transformers: read into our configuration, and written back. */
import { z } from 'zod';
import { invalid, unsupported } from '../errors';
import type { Task } from '../bundle/manifest';
import { TRANSFORMER_ARCHITECTURES, uniformLayers } from './config';
import type { Activation, TransformerArchitecture, TransformerConfig } from './config';

/** config.json as it lies in the folder; unknown fields are kept for export. */
export type HuggingFaceConfig = Readonly<Record<string, unknown>>;

/** More than any published model of these families has: a config beyond it is an attack or a mistake. */
const MAX_LAYERS = 512;
const count = z
  .int()
  .positive()
  .max(1 << 24);
const layerCount = z.int().min(0).max(MAX_LAYERS);

const common = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  id2label: z.record(z.string(), z.string()).nullish(),
  num_labels: count.nullish(),
  problem_type: z.string().nullish(),
  pad_token_id: z.int().min(0).nullish(),
  initializer_range: z.number().positive().default(0.02),
  tie_word_embeddings: z.boolean().default(true),
});

const bertLike = common.extend({
  hidden_size: count,
  num_hidden_layers: layerCount,
  num_attention_heads: count,
  intermediate_size: count,
  hidden_act: z.string().default('gelu'),
  max_position_embeddings: count,
  type_vocab_size: z.int().min(0).default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  vocab_size: count,
  is_decoder: z.literal(false, 'only encoders are read').default(false),
  add_cross_attention: z.literal(false, 'cross attention is not read').default(false),
  position_embedding_type: z.literal('absolute', 'only absolute positions are read').nullish(),
});

const distilbert = common.extend({
  dim: count,
  n_layers: layerCount,
  n_heads: count,
  hidden_dim: count,
  activation: z.string().default('gelu'),
  max_position_embeddings: count,
  vocab_size: count,
});

const gpt2 = common.extend({
  n_embd: count,
  n_layer: layerCount,
  n_head: count,
  n_inner: count.nullish(),
  activation_function: z.string().default('gelu_new'),
  n_positions: count,
  layer_norm_epsilon: z.number().positive().default(1e-5),
  vocab_size: count,
  scale_attn_weights: z.literal(true, 'unscaled attention is not read').default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false, 'scaling by layer index is not read').default(false),
  add_cross_attention: z.literal(false, 'cross attention is not read').default(false),
});

/** transformers' names of the activations that we have. */
export const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
};

/**
 * Reads a config.json.
 * @throws `config.model-type` for an architecture without a builder, `config.field` naming a wrong field,
 *   `config.activation`, and `config.untied` when the decoder is not tied to the token table
 */
export function configFromHuggingFace(json: HuggingFaceConfig): TransformerConfig {
  const architecture = architectureOf(json);
  const config = READERS[architecture](json);
  const { queryDims } = config.layers[0] ?? { queryDims: [] };
  return { ...config, architecture, headSize: queryDims[0] ?? config.hidden };
}

function architectureOf(json: HuggingFaceConfig): TransformerArchitecture {
  const found = TRANSFORMER_ARCHITECTURES.find((name) => name === json['model_type']);
  if (found) return found;
  throw unsupported(
    'config.model-type',
    `config.json says model_type "${String(json['model_type'])}"; modelpress reads ${TRANSFORMER_ARCHITECTURES.join(', ')}.`,
    { file: 'config.json', field: 'model_type' },
  );
}

type SizesAndChoices = Omit<TransformerConfig, 'architecture' | 'headSize'>;

const readBert = (json: HuggingFaceConfig): SizesAndChoices => {
  const c = parse(bertLike, json);
  return {
    ...shared(c),
    hidden: c.hidden_size,
    positions: c.max_position_embeddings,
    typeVocabulary: c.type_vocab_size,
    activation: activationOf(c.hidden_act),
    layerNormEpsilon: c.layer_norm_eps,
    layers: uniformLayers(c.num_hidden_layers, c.hidden_size, c.num_attention_heads, c.intermediate_size),
  };
};

const READERS: Readonly<Record<TransformerArchitecture, (json: HuggingFaceConfig) => SizesAndChoices>> = {
  bert: readBert,
  roberta: readBert,
  distilbert: (json) => {
    const c = parse(distilbert, json);
    return {
      ...shared(c),
      hidden: c.dim,
      positions: c.max_position_embeddings,
      typeVocabulary: 0,
      activation: activationOf(c.activation),
      layerNormEpsilon: 1e-12,
      layers: uniformLayers(c.n_layers, c.dim, c.n_heads, c.hidden_dim),
    };
  },
  gpt2: (json) => {
    const c = parse(gpt2, json);
    return {
      ...shared(c),
      hidden: c.n_embd,
      positions: c.n_positions,
      typeVocabulary: 0,
      activation: activationOf(c.activation_function),
      layerNormEpsilon: c.layer_norm_epsilon,
      layers: uniformLayers(c.n_layer, c.n_embd, c.n_head, c.n_inner ?? 4 * c.n_embd),
    };
  },
};

function shared(
  c: z.infer<typeof common> & { vocab_size: number },
): Pick<TransformerConfig, 'vocabulary' | 'padId' | 'initializerRange'> {
  return { vocabulary: c.vocab_size, padId: c.pad_token_id ?? undefined, initializerRange: c.initializer_range };
}

function parse<T>(schema: z.ZodType<T>, json: HuggingFaceConfig): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw invalid('config.field', `config.json: ${field}: ${issue?.message}.`, { file: 'config.json', field });
}

function activationOf(name: string): Activation {
  const activation = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (activation) return activation;
  throw unsupported(
    'config.activation',
    `config.json asks for the activation "${name}", which modelpress does not have.`,
    {
      file: 'config.json',
      field: 'hidden_act',
    },
  );
}

/** What a checkpoint was saved for: its task, and label names by class index. */
export interface CheckpointTask {
  readonly task: Task;
  readonly labels: readonly string[];
}

/** The task told by `architectures`; a bare body is an `embedding` model. */
export function taskOf(json: HuggingFaceConfig): CheckpointTask {
  const c = parse(common, json);
  const name = c.architectures?.[0] ?? '';
  if (name.endsWith('ForSequenceClassification')) {
    const labels = labelsOf(c);
    const regression = c.problem_type === 'regression' || labels.length === 1;
    return regression ? { task: 'regression', labels: [] } : { task: 'classification', labels };
  }
  if (name.endsWith('ForMaskedLM') || name.endsWith('ForPreTraining')) return { task: 'masked-lm', labels: [] };
  if (name.endsWith('LMHeadModel')) return { task: 'causal-lm', labels: [] };
  return { task: 'embedding', labels: [] };
}

/** Label names in class order; transformers' default is two unnamed classes. */
function labelsOf(c: z.infer<typeof common>): string[] {
  const names = Object.entries(c.id2label ?? {});
  if (names.length === 0) return Array.from({ length: c.num_labels ?? 2 }, (_, i) => `LABEL_${i}`);
  return names.map((_, i) => {
    const label = c.id2label?.[String(i)];
    if (label === undefined) {
      throw invalid('config.field', `config.json: id2label has ${names.length} entries but none for class ${i}.`, {
        file: 'config.json',
        field: 'id2label',
      });
    }
    return label;
  });
}

/** @throws `config.untied` when a language model's decoder is a matrix of its own */
export function requireTiedDecoder(json: HuggingFaceConfig): void {
  if (json['tie_word_embeddings'] === false) {
    throw unsupported(
      'config.untied',
      'The decoder of this language model is not tied to its token table, which the builders assume.',
      {
        file: 'config.json',
        field: 'tie_word_embeddings',
      },
    );
  }
}
