/** @file Hugging Face folders (config.json, safetensors, tokenizer files) into bundles. */
import { basename, resolve } from 'node:path';
import { readTokenizerFiles } from '../bundle/bundle';
import type { Bundle } from '../bundle/bundle';
import { weightFacts } from '../bundle/describe';
import type { Manifest, Task } from '../bundle/manifest';
import { checkVocabulary } from '../bundle/validate';
import { invalid } from '../errors';
import { loadTokenizer } from '../text/tokenizer';
import { openCheckpoint } from './checkpoint';
import { headFor, maxLengthOf } from './config';
import type { TransformerConfig } from './config';
import { labelFields } from './config-huggingface-export';
import { configFromHuggingFace, requireTiedDecoder, taskOf } from './config-huggingface';
import { matchWeights } from './huggingface-weights';
import type { BuiltModel } from './network';
import { readConfigJson } from './read-config';
import { readEmbeddingStyle } from './sentence-transformers';
import { buildTransformer } from './transformer';

export interface ImportHuggingFaceOptions {
  /** What the model is for; default: what the checkpoint was saved for. Another task gets a fresh head. */
  readonly task?: Task;
  /** Label names in class order; default: the checkpoint's. Another number of them makes the classifier fresh. */
  readonly labels?: readonly string[];
  /** Seed of fresh parameters. Default 0. */
  readonly seed?: number;
  /** Name in the manifest; default: the folder's. */
  readonly name?: string;
}

export interface ImportedModel {
  readonly bundle: Bundle;
  /** Fresh heads, unused tensors, converted types, padded tables. */
  readonly warnings: readonly string[];
}

/**
 * Imports a checkpoint as an ONNX model with the same outputs.
 * @param dir folder with config.json, model.safetensors (or shards with an index) and, optionally, a tokenizer
 * @throws `config.*`, `checkpoint.*`, `safetensors.*`, `tokenizer.*`, and `bundle.vocabulary` when the tokenizer has
 *   more tokens than the embedding table rows
 */
export async function importHuggingFace(dir: string, options: ImportHuggingFaceOptions = {}): Promise<ImportedModel> {
  const { seed = 0, name = basename(resolve(dir)) } = options;
  const json = await readConfigJson(dir);
  if (!json) throw invalid('config.missing', 'The folder has no config.json.', { file: 'config.json' });
  const config = configFromHuggingFace(json);
  const saved = taskOf(json);
  const task = options.task ?? saved.task;
  const classes = task === 'classification' || task === 'pair-classification';
  const labels = classes ? labelsFor(options.labels, saved.labels) : [];
  if (task === 'masked-lm' || task === 'causal-lm') requireTiedDecoder(json);
  const { normalize } = task === 'embedding' ? await readEmbeddingStyle(dir) : { normalize: false };
  const head = headFor(task, labels.length, normalize);

  const tokenizerFiles = await readTokenizerFiles(dir);
  const tokenizer = tokenizerFiles.size > 0 ? await loadTokenizer(dir) : undefined;
  checkVocabulary(tokenizer?.vocabularySize ?? 0, config.vocabulary);

  const checkpoint = openCheckpoint(dir);
  try {
    const resizable = options.labels !== undefined || options.task !== undefined;
    const { source, warnings } = matchWeights(checkpoint, config, head, { seed, resizable });
    const built = buildTransformer(config, head, source);
    const manifest = manifestFor(built, {
      name,
      architecture: config.architecture,
      task,
      maxLength: maxLengthOf(config),
      ...(tokenizer ? { tokenizer: { kind: tokenizer.kind, padId: tokenizer.padId } } : {}),
      config: { ...json, ...(classes ? labelFields(labels) : {}) },
      provenance: [{ step: 'import', detail: { from: 'huggingface', seed, warnings } }],
    });
    const notes = [...warnings, ...tokenizerWarnings(tokenizer, config)];
    return { bundle: { model: built.model, manifest, labels, tokenizerFiles }, warnings: notes };
  } finally {
    checkpoint.close();
  }
}

type ManifestBasis = Omit<
  Manifest,
  'format' | 'inputs' | 'output' | 'components' | 'structure' | 'parameters' | 'sparsity'
>;

/** The manifest of a model that a builder made. */
export function manifestFor(built: BuiltModel, basis: ManifestBasis): Manifest {
  const { model, inputs, output, components, structure } = built;
  return {
    format: 1,
    ...basis,
    inputs: [...inputs],
    output,
    components: [...components],
    ...(structure ? { structure } : {}),
    ...weightFacts(model, components),
  };
}

function labelsFor(asked: readonly string[] | undefined, saved: readonly string[]): readonly string[] {
  const labels = asked ?? saved;
  if (labels.length > 0) return labels;
  throw invalid('model.labels', 'The checkpoint has no classifier: say which labels the model shall tell apart.', {
    field: 'labels',
  });
}

function tokenizerWarnings(
  tokenizer: { vocabularySize: number; padId: number } | undefined,
  config: TransformerConfig,
): string[] {
  if (!tokenizer) return ['The folder has no tokenizer: only stages that need no text accept this model.'];
  const unused = config.vocabulary - tokenizer.vocabularySize;
  return [
    ...(unused > 0 ? [`${unused} rows of the embedding table have no token.`] : []),
    ...(config.padId !== undefined && config.padId !== tokenizer.padId
      ? [`config.json pads with id ${config.padId}, the tokenizer with ${tokenizer.padId}.`]
      : []),
  ];
}
