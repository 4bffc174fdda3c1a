/** @file Models from scratch: a bundle with fresh weights. */
import type { Bundle, TokenizerFiles } from '../bundle/bundle';
import type { Manifest, Task } from '../bundle/manifest';
import { headFor, maxLengthOf } from './config';
import type { TransformerConfig } from './config';
import { configToHuggingFace } from './config-huggingface-export';
import { manifestFor } from './import';
import { buildTransformer } from './transformer';
import { freshWeights } from './weights';

export interface CreateOptions {
  readonly config: TransformerConfig;
  readonly task: Task;
  /** Label names in class order; empty for tasks without classes. */
  readonly labels?: readonly string[];
  readonly seed: number;
  readonly name: string;
  readonly tokenizer?: Manifest['tokenizer'];
  readonly tokenizerFiles?: TokenizerFiles;
}

/**
 * A transformer with fresh weights, e.g. of `transformerConfig('bert', { layers: 4, hidden: 256, heads: 4, vocabulary })`.
 * @throws `model.labels`, `model.task`
 */
export function createTransformer(options: CreateOptions): Bundle {
  const { config, task, labels = [], seed, name, tokenizer, tokenizerFiles = new Map() } = options;
  const built = buildTransformer(config, headFor(task, labels.length), freshWeights(seed, config.initializerRange));
  const manifest = manifestFor(built, {
    name,
    architecture: config.architecture,
    task,
    maxLength: maxLengthOf(config),
    ...(tokenizer ? { tokenizer } : {}),
    config: { ...configToHuggingFace({}, config, task, labels) },
    provenance: [{ step: 'create', detail: { seed } }],
  });
  return { model: built.model, manifest, labels, tokenizerFiles };
}
