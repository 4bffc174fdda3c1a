/** @file The sizes and choices that define a transformer, in our words; see `config-huggingface.ts` for config.json. */
import { invalid } from '../errors';
import type { Structure, Task } from '../bundle/manifest';

export const TRANSFORMER_ARCHITECTURES = ['bert', 'roberta', 'distilbert', 'gpt2'] as const;
export type TransformerArchitecture = (typeof TRANSFORMER_ARCHITECTURES)[number];

/** `gelu` is the exact erf form, `gelu-tanh` its tanh approximation (GPT-2's `gelu_new`). */
export type Activation = 'gelu' | 'gelu-tanh' | 'relu' | 'silu' | 'tanh';

/** Sizes of one layer: attention heads with their query (= key) and value dimensions, and feed-forward neurons. */
export type LayerSizes = Structure['layers'][number];

export interface TransformerConfig {
  readonly architecture: TransformerArchitecture;
  /** Width of the residual stream. */
  readonly hidden: number;
  readonly vocabulary: number;
  /** Rows of the position table (RoBERTa's includes the two that it never uses). */
  readonly positions: number;
  /** Rows of the token-type table; 0 when there is none. */
  readonly typeVocabulary: number;
  readonly activation: Activation;
  readonly layerNormEpsilon: number;
  /** Absent for models without a padding token. */
  readonly padId: number | undefined;
  /** Standard deviation of freshly initialised matrices and embeddings. */
  readonly initializerRange: number;
  /** Size of a head before any pruning: attention scores are divided by its square root. */
  readonly headSize: number;
  readonly layers: readonly LayerSizes[];
}

/** What the last hidden states are turned into. */
export type Head =
  | { readonly task: 'classification' | 'pair-classification'; readonly labels: number }
  | { readonly task: 'regression' }
  | { readonly task: 'causal-lm' }
  /**
   * With `selected` only the positions in an extra input `selected_positions` are decoded: pretraining predicts 15 % of
   * them, and the decoder is most of a small model's work. Parameters are the same.
   */
  | { readonly task: 'masked-lm'; readonly selected?: boolean }
  /** Mean over the tokens, as sentence encoders do; optionally scaled to length 1. */
  | { readonly task: 'embedding'; readonly normalize: boolean };

/** The head for a task. @throws `model.labels` when a classifier has no label */
export function headFor(task: Task, labels: number, normalize = false): Head {
  switch (task) {
    case 'embedding':
      return { task, normalize };
    case 'regression':
      return { task };
    case 'masked-lm':
      return { task };
    case 'causal-lm':
      return { task };
    case 'classification':
    case 'pair-classification':
      if (labels < 1) throw invalid('model.labels', `A ${task} model needs at least one label.`, { field: 'labels' });
      return { task, labels };
  }
}

/** `count` equal layers of `heads` heads over a residual stream of `hidden`. */
export function uniformLayers(count: number, hidden: number, heads: number, ffn: number): LayerSizes[] {
  if (heads < 1 || hidden % heads !== 0) {
    throw invalid('model.heads', `A hidden size of ${hidden} cannot be divided among ${heads} heads.`, {
      field: 'heads',
    });
  }
  const dims = Array.from({ length: heads }, () => hidden / heads);
  return Array.from({ length: count }, () => ({ heads, queryDims: dims, valueDims: dims, ffn }));
}

/** Longest text in tokens. RoBERTa counts positions from its padding id + 1. */
export function maxLengthOf(config: TransformerConfig): number {
  return config.architecture === 'roberta' ? config.positions - (config.padId ?? 0) - 1 : config.positions;
}

/** The manifest's view of the sizes. */
export function structureOf({ hidden, layers, vocabulary, positions }: TransformerConfig): Structure {
  return { hidden, layers: [...layers], vocabulary, positions };
}

/**
 * A family member for training from scratch, e.g. `transformerConfig('bert', { layers: 4, hidden: 256, heads: 4,
 * vocabulary: 8000 })`. The feed-forward size defaults to 4 x hidden, the rest to the architecture's published values.
 */
export function transformerConfig(
  architecture: TransformerArchitecture,
  sizes: {
    readonly layers: number;
    readonly hidden: number;
    readonly heads: number;
    readonly vocabulary: number;
    readonly ffn?: number;
    /** Longest text in tokens; default 128. */
    readonly maxLength?: number;
    readonly padId?: number;
  },
): TransformerConfig {
  const { layers, hidden, heads, vocabulary, ffn = 4 * hidden, maxLength = 128 } = sizes;
  const defaults = ARCHITECTURE_DEFAULTS[architecture];
  const padId = sizes.padId ?? defaults.padId;
  return {
    architecture,
    hidden,
    vocabulary,
    positions: architecture === 'roberta' ? maxLength + padId + 1 : maxLength,
    typeVocabulary: defaults.typeVocabulary,
    activation: defaults.activation,
    layerNormEpsilon: defaults.layerNormEpsilon,
    padId,
    initializerRange: 0.02,
    headSize: hidden / heads,
    layers: uniformLayers(layers, hidden, heads, ffn),
  };
}

const ARCHITECTURE_DEFAULTS: Readonly<
  Record<
    TransformerArchitecture,
    Pick<TransformerConfig, 'typeVocabulary' | 'activation' | 'layerNormEpsilon'> & { readonly padId: number }
  >
> = {
  bert: { typeVocabulary: 2, activation: 'gelu', layerNormEpsilon: 1e-12, padId: 0 },
  roberta: { typeVocabulary: 1, activation: 'gelu', layerNormEpsilon: 1e-5, padId: 1 },
  distilbert: { typeVocabulary: 0, activation: 'gelu', layerNormEpsilon: 1e-12, padId: 0 },
  gpt2: { typeVocabulary: 0, activation: 'gelu-tanh', layerNormEpsilon: 1e-5, padId: 0 },
};
