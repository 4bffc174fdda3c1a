/** @file Models from scratch: bundles with fresh weights. */
import type { Bundle, TokenizerFiles } from '../bundle/bundle';
import type { Architecture, Manifest, Task } from '../bundle/manifest';
import { invalid } from '../errors';
import { buildBilstm } from './bilstm';
import type { BilstmConfig } from './bilstm';
import { headFor, maxLengthOf } from './config';
import type { TransformerConfig } from './config';
import { configToHuggingFace } from './config-huggingface-export';
import { manifestFor } from './import';
import type { BuiltModel } from './network';
import { buildTextCnn } from './textcnn';
import type { TextCnnConfig } from './textcnn';
import { buildTransformer } from './transformer';
import { freshWeights } from './weights';

/** What every new model is given besides its sizes. */
export interface CreateOptions {
  readonly task: Task;
  /** Label names in class order; empty for tasks without classes. */
  readonly labels?: readonly string[];
  readonly seed: number;
  readonly name: string;
  readonly tokenizer?: Manifest['tokenizer'];
  readonly tokenizerFiles?: TokenizerFiles;
}

/** Of embeddings and matrices of models without a published value. */
const INITIALIZER_RANGE = 0.1;

/**
 * A transformer with fresh weights, e.g. of `transformerConfig('bert', { layers: 4, hidden: 256, heads: 4, vocabulary })`.
 * @throws `model.labels`, `model.task`
 */
export function createTransformer(config: TransformerConfig, options: CreateOptions): Bundle {
  const { task, labels = [], seed } = options;
  const built = buildTransformer(config, headFor(task, labels.length), freshWeights(seed, config.initializerRange));
  const json = configToHuggingFace({}, config, task, labels);
  return bundleOf(built, config.architecture, maxLengthOf(config), json, options);
}

/** A TextCNN with fresh weights, for classes or regression. @throws `model.labels`, `model.task` */
export function createTextCnn(
  config: Omit<TextCnnConfig, 'outputs'>,
  maxLength: number,
  options: CreateOptions,
): Bundle {
  const whole = { ...config, outputs: outputsFor('textcnn', options) };
  return bundleOf(
    buildTextCnn(whole, freshWeights(options.seed, INITIALIZER_RANGE)),
    'textcnn',
    maxLength,
    whole,
    options,
  );
}

/** A BiLSTM with fresh weights, for classes or regression. @throws `model.labels`, `model.task` */
export function createBilstm(config: Omit<BilstmConfig, 'outputs'>, maxLength: number, options: CreateOptions): Bundle {
  const whole = { ...config, outputs: outputsFor('bilstm', options) };
  return bundleOf(
    buildBilstm(whole, freshWeights(options.seed, INITIALIZER_RANGE)),
    'bilstm',
    maxLength,
    whole,
    options,
  );
}

function outputsFor(architecture: Architecture, { task, labels = [] }: CreateOptions): number {
  const head = headFor(task, labels.length);
  if (head.task === 'regression') return 1;
  if ('labels' in head) return head.labels;
  throw invalid('model.task', `A ${architecture} model can classify or regress, not do ${task}.`, { field: 'task' });
}

function bundleOf(
  built: BuiltModel,
  architecture: Architecture,
  maxLength: number,
  config: object,
  { task, labels = [], seed, name, tokenizer, tokenizerFiles = new Map() }: CreateOptions,
): Bundle {
  const manifest = manifestFor(built, {
    name,
    architecture,
    task,
    maxLength,
    ...(tokenizer ? { tokenizer } : {}),
    config: { ...config },
    provenance: [{ step: 'create', detail: { seed } }],
  });
  return { model: built.model, manifest, labels, tokenizerFiles };
}
