import { join } from 'node:path';
import { modelFileFor, readManifest } from '../bundle';
import { invalid, throwIfAborted } from '../errors';
import type { Executable } from '../runtime';
import { loadTokenizer } from '../text';
import type { Batch, Split, TokenRows } from '../text';
import { DEFAULT_MASKING, TokenMasker } from '../text/mask-tokens';
import { withTokens } from './predict';
import type { PredictOptions } from './predict';

/** How well a language model predicts text. */
export interface LanguageModelScores {
  /** Sum of -ln p(token | what the model sees), in nats. */
  readonly negativeLogLikelihood: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
  /** exp of the mean negative log-likelihood. */
  readonly perplexity: number;
}

/**
 * Scores a language model on a split. A causal one predicts each token of a text given those before it, the first one
 * excepted; of a generation pair the target's tokens only. A masked one predicts 15 % of the tokens, hidden as in
 * training and the same in every call with equal batches: its perplexity says nothing beside that of a causal model.
 * @throws ModelpressError `evaluate.task` for a model of another task, `evaluate.no-text`; those of `predict`.
 */
export async function scoreLanguageModel(
  bundle: string,
  dataset: string,
  split: Split,
  options: PredictOptions,
): Promise<LanguageModelScores> {
  const { output, native } = await readManifest(bundle);
  const question = await questionOf(bundle);
  return withTokens(bundle, dataset, split, { batchSize: 8, ...options }, async ({ rows }, batches) => {
    const executable = await options.runtime.compile(
      { path: join(bundle, modelFileFor({ native }, options.runtime.name)) },
      options.compile,
    );
    try {
      const epoch = batches.epoch(0);
      let sum = 0;
      let tokens = 0;
      for (let index = 0; index < epoch.count; index++) {
        throwIfAborted(options.signal);
        const { inputs, targets } = question(epoch.batch(index), rows, index);
        sum += await negativeLogLikelihood(executable, inputs, output, targets);
        tokens += targets.length;
        options.onProgress?.((index + 1) / epoch.count);
      }
      if (tokens === 0) throw invalid('evaluate.no-text', `The ${split} split has no token to predict.`);
      return { negativeLogLikelihood: sum, tokens, perplexity: Math.exp(sum / tokens) };
    } finally {
      await executable.release();
    }
  });
}

/** A token and the position in the batch (counted row by row) whose logits predict it. */
interface Target {
  readonly position: number;
  readonly token: number;
}

/** What a model is shown and what it has to predict. */
type Question = (
  batch: Batch,
  rows: TokenRows,
  index: number,
) => { readonly inputs: Batch['inputs']; readonly targets: readonly Target[] };

async function questionOf(bundle: string): Promise<Question> {
  const { task, tokenizer: stated } = await readManifest(bundle);
  if (task === 'causal-lm') return (batch, rows) => ({ inputs: batch.inputs, targets: nextTokens(batch, rows) });
  if (task !== 'masked-lm')
    throw invalid('evaluate.task', `Perplexity needs a language model, not ${task}.`, { field: 'task' });
  if (!stated) throw invalid('evaluate.tokenizer', 'The model has no tokenizer, so it cannot read text.');
  const masker = TokenMasker.of(await loadTokenizer(bundle), DEFAULT_MASKING);
  return (batch, _, index) => {
    const { inputs, positions, labels, count } = masker.mask(batch, [index]);
    const targets = Array.from({ length: count }, (__, i) => {
      return { position: Number(positions.data[i]), token: Number(labels.data[i]) };
    });
    return { inputs, targets };
  };
}

const nextTokens = (batch: Batch, rows: TokenRows): Target[] =>
  Array.from(batch.rows).flatMap((row, i) => {
    const ids = rows.ids(row);
    const first = rows.firstLengths[row];
    const start = Math.max(1, first < ids.length ? first : 1);
    return Array.from(ids.subarray(start), (token, k) => ({ position: i * batch.sequence + start + k - 1, token }));
  });

async function negativeLogLikelihood(
  executable: Executable,
  inputs: Batch['inputs'],
  output: string,
  targets: readonly Target[],
): Promise<number> {
  const { dims, data } = (await executable.run(inputs))[output];
  const vocabulary = dims[2];
  const logits = data as Float32Array;
  return targets.reduce((sum, { position, token }) => {
    const values = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
    return sum + logSumExp(values) - values[token];
  }, 0);
}

/** ln sum exp(x), without overflow. */
export function logSumExp(values: Float32Array): number {
  let top = -Infinity;
  for (const value of values) if (value > top) top = value;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - top);
  return top + Math.log(sum);
}
