/** @file manifest.json of a model bundle: a folder of model.onnx, tokenizer files, labels.json and this. */
import { z } from 'zod';

export const ARCHITECTURES = ['bert', 'roberta', 'distilbert', 'gpt2', 'textcnn', 'bilstm', 'dan', 'foreign'] as const;
/** `foreign`: an ONNX file whose structure was not made by one of our builders. */
export type Architecture = (typeof ARCHITECTURES)[number];

export const TASKS = [
  'classification',
  'pair-classification',
  'regression',
  'masked-lm',
  'causal-lm',
  'embedding',
] as const;
export type Task = (typeof TASKS)[number];

/** The role of a weight matrix (DESIGN section 1). */
export const COMPONENTS = ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O', 'W_P', 'embeddings', 'classifier'] as const;
export type Component = (typeof COMPONENTS)[number];

const componentEntry = z.object({
  component: z.enum(COMPONENTS),
  /** Transformer layer, counted from 0; absent outside layers. */
  layer: z.int().min(0).optional(),
  /** Initializer of the matrix in model.onnx, stored [in, out] unless `transposed`. */
  weight: z.string(),
  /** True when the initializer is stored [out, in]. */
  transposed: z.boolean().optional(),
  bias: z.string().optional(),
  /** One of the two thin matrices that stand for a factorized weight: `first` is [in, rank], `second` [rank, out]. */
  factor: z.enum(['first', 'second']).optional(),
});
export type ComponentEntry = z.infer<typeof componentEntry>;

/**
 * A weight that is stored as codes into tables of centroids and decoded by nodes of the graph: `weight` is the decoded
 * value, not an initializer.
 */
const codebookEntry = componentEntry.extend({
  dims: z.tuple([z.int().positive(), z.int().positive()]),
  bits: z.int().min(1).max(8),
  /** Initializer of the centroids, float32 [tables * 2^bits]. */
  centroids: z.string(),
  /** Initializer of the packed codes, uint8. */
  codes: z.string(),
});
export type CodebookEntry = z.infer<typeof codebookEntry>;

/** Sizes of a transformer encoder or decoder. Per layer, because pruning makes layers differ. */
const structure = z.object({
  hidden: z.int().positive(),
  layers: z.array(
    z.object({
      heads: z.int().min(0),
      /** Query and key dimensions of each head (0: the head attends uniformly), then value dimensions of each head. */
      queryDims: z.array(z.int().min(0)),
      valueDims: z.array(z.int().min(0)),
      ffn: z.int().min(0),
      /** Dimensions of the residual stream that W_AO and W_O still write, ascending; absent: all of them. */
      attentionOutputs: z.array(z.int().min(0)).optional(),
      ffnOutputs: z.array(z.int().min(0)).optional(),
    }),
  ),
  vocabulary: z.int().positive(),
  positions: z.int().min(0),
});
export type Structure = z.infer<typeof structure>;

/**
 * A second file of the model that only the native runtime takes, in the fastest form on the machine where it was made;
 * model.onnx stays beside it for every other runtime.
 */
const nativeForm = z.object({
  file: z.literal('native.onnx'),
  /** Version of the packed sparse weights in it. */
  pack: z.literal(1),
  /** Number of weights by the form that was chosen: fp32, int8 or a sparse pattern. */
  forms: z.record(z.string(), z.int().min(0)),
});
export type NativeForm = z.infer<typeof nativeForm>;

export const manifestSchema = z
  .object({
    format: z.literal(1),
    name: z.string(),
    architecture: z.enum(ARCHITECTURES),
    task: z.enum(TASKS),
    /** Inputs a runner feeds, in the model's order. */
    inputs: z.array(z.string()),
    /** Name of the logits (or embedding) output. */
    output: z.string(),
    /** Longest sequence the model accepts, in tokens, specials included. */
    maxLength: z.int().positive(),
    /** Absent for a bundle without a tokenizer: only stages that need no text accept it. */
    tokenizer: z.object({ kind: z.enum(['wordpiece', 'byte-bpe', 'word', 'ngram']), padId: z.int().min(0) }).optional(),
    components: z.array(componentEntry),
    /** Weights that are stored as codes; they are not among the components. Absent where there are none. */
    codebooks: z.array(codebookEntry).optional(),
    structure: structure.optional(),
    native: nativeForm.optional(),
    parameters: z.object({ total: z.int().min(0), embeddings: z.int().min(0) }),
    /** Share of zeros by initializer name, only where above 0. */
    sparsity: z.record(z.string(), z.number().min(0).max(1)).default({}),
    /** The checkpoint's own configuration (config.json), for export back to Hugging Face. */
    config: z.record(z.string(), z.unknown()).default({}),
    /** What made this bundle, oldest first. */
    provenance: z
      .array(z.object({ step: z.string(), detail: z.record(z.string(), z.unknown()).default({}) }))
      .default([]),
  })
  .meta({ id: 'Manifest' });
export type Manifest = z.infer<typeof manifestSchema>;

/** Names of the model's labels, where its configuration has them; none: they are not known. */
export function labelsOf({ config }: Pick<Manifest, 'config'>): readonly string[] {
  const labels = config.id2label;
  if (typeof labels !== 'object' || labels === null) return [];
  return Object.values(labels).filter((label): label is string => typeof label === 'string');
}

/** Labels of the data that the model has no class for; none where the model's are not known. */
export const foreignLabels = (model: readonly string[], data: readonly string[]): string[] =>
  model.length === 0 ? [] : data.filter((label) => !model.includes(label));

/**
 * Whether weights have fewer bits than float32: by a quantize stage, or in the file that was imported. What happened to
 * a student's teacher is no matter.
 */
export function isQuantized({ provenance }: Pick<Manifest, 'provenance'>): boolean {
  const own = provenance.slice(provenance.findLastIndex(({ step }) => step === 'distill') + 1);
  return own.some(({ step, detail }) => step === 'quantize' || detail.quantized === true);
}
