/** @file The bundle that training starts from. */
import { readBundle, readTokenizerFiles } from '../bundle';
import type { Bundle, TokenizerFiles } from '../bundle';
import type { Task } from '../bundle/manifest';
import { invalid } from '../errors';
import { createBilstm, createTextCnn, createTransformer, transformerConfig } from '../models';
import type { CreateOptions } from '../models';
import { replaceHead } from '../models/replace-head';
import type { DatasetKind } from '../text';
import { bertTokenizer, parseVocabTxt, readSplit, readTokenizerSource, Tokenizer } from '../text';
import { trainWordPiece, WordCounts } from '../text/train-wordpiece';
import type { ClassifierScratch, ScratchConfig } from './config';

/** What a model is trained for on a kind of data set. */
export const TASK_OF_KIND: Readonly<Record<DatasetKind, Task>> = {
  classification: 'classification',
  'pair-classification': 'pair-classification',
  regression: 'regression',
  generation: 'causal-lm',
  unlabelled: 'causal-lm',
};

export interface StartOptions {
  /** Bundle folder of the input model. */
  readonly model: string | undefined;
  readonly dataset: string;
  readonly task: Task;
  /** Label names of the data in class order; empty for tasks without classes. */
  readonly labels: readonly string[];
  readonly scratch: ClassifierScratch | undefined;
  readonly maxLength: number;
  readonly seed: number;
}

export interface Start {
  readonly bundle: Bundle;
  readonly tokenizer: Tokenizer;
  readonly warnings: readonly string[];
}

/**
 * The input model with a head that fits the data, or a model from scratch.
 * @throws invalid `finetune.no-model`, `finetune.no-tokenizer`; `model.*`, `tokenizer.*`
 */
export async function startingBundle(options: StartOptions): Promise<Start> {
  if (options.scratch) return fromScratch(options, options.scratch);
  if (options.model === undefined) {
    throw invalid('finetune.no-model', 'Give an input model, or "scratch" to train one from random weights.', {
      field: 'scratch',
    });
  }
  const { task, seed } = options;
  const whole = await readBundle(options.model);
  if (!whole.manifest.tokenizer) {
    throw invalid(
      'finetune.no-tokenizer',
      `The model "${whole.manifest.name}" has no tokenizer, so it cannot read text.`,
    );
  }
  const known = new Set(whole.labels);
  const hasAll = options.labels.length > 0 && options.labels.every((label) => known.has(label));
  const labels = hasAll ? whole.labels : options.labels;
  const { bundle, fresh } = replaceHead(whole, { task, labels, seed });
  const warnings =
    fresh.length > 0 ? [`The model got a new head for this data; fresh weights: ${fresh.join(', ')}.`] : [];
  return { bundle, tokenizer: new Tokenizer(await readTokenizerSource(options.model)), warnings };
}

async function fromScratch(options: StartOptions, scratch: ClassifierScratch): Promise<Start> {
  const { model, dataset, task, labels, seed, maxLength } = options;
  const tokenizerFiles = model === undefined ? await trainTokenizer(dataset, scratch) : await readTokenizerFiles(model);
  if (tokenizerFiles.size === 0) {
    throw invalid(
      'finetune.no-tokenizer',
      'The input model, whose tokenizer a model from scratch would use, has none.',
    );
  }
  const tokenizer =
    model === undefined
      ? new Tokenizer(bertTokenizer(parseVocabTxt(new TextDecoder().decode(tokenizerFiles.get('vocab.txt')))))
      : new Tokenizer(await readTokenizerSource(model));
  const bundle = createClassifier(scratch, tokenizer, maxLength, {
    task,
    labels,
    seed,
    tokenizer: { kind: tokenizer.kind, padId: tokenizer.padId },
    tokenizerFiles,
  });
  return { bundle, tokenizer, warnings: [] };
}

function createClassifier(
  scratch: ClassifierScratch,
  { vocabularySize: vocabulary, padId }: Tokenizer,
  maxLength: number,
  options: Omit<CreateOptions, 'name'>,
): Bundle {
  switch (scratch.architecture) {
    case 'textcnn':
      return createTextCnn({ ...scratch, vocabulary }, maxLength, { ...options, name: 'textcnn' });
    case 'bilstm':
      return createBilstm({ ...scratch, vocabulary }, maxLength, { ...options, name: 'bilstm' });
    case 'bert':
    case 'roberta':
    case 'distilbert':
    case 'gpt2': {
      const { architecture, layers, hidden, heads = defaultHeads(hidden), ffn } = scratch;
      const sizes = { layers, hidden, heads, vocabulary, maxLength, padId, ...(ffn === undefined ? {} : { ffn }) };
      const name = `${architecture}-L${layers}-H${hidden}`;
      return createTransformer(transformerConfig(architecture, sizes), { ...options, name });
    }
  }
}

/** One head per 64 of the width, or the next smaller number that divides it. */
function defaultHeads(hidden: number): number {
  let heads = Math.max(1, Math.floor(hidden / 64));
  while (hidden % heads !== 0) heads--;
  return heads;
}

/** A WordPiece vocabulary of the training split. */
export async function trainTokenizer(
  dataset: string,
  { vocabulary }: Pick<ScratchConfig, 'vocabulary'>,
): Promise<TokenizerFiles> {
  const counts = new WordCounts();
  for await (const { text, pair, target } of readSplit(dataset, 'train')) {
    for (const part of [text, pair, target]) if (part !== undefined) counts.add(part);
  }
  const tokens = trainWordPiece(counts, vocabulary);
  const config = { tokenizer_class: 'BertTokenizer', do_lower_case: true, model_max_length: 512 };
  return new Map([
    ['vocab.txt', Buffer.from(`${tokens.join('\n')}\n`)],
    ['tokenizer_config.json', Buffer.from(`${JSON.stringify(config, null, 2)}\n`)],
  ]);
}
