import { join } from 'node:path';
import { MODEL_FILE, readManifest } from '../bundle';
import { invalid, throwIfAborted } from '../errors';
import type { Executable } from '../runtime';
import type { Batch, Split, TokenRows } from '../text';
import { withTokens } from './predict';
import type { PredictOptions } from './predict';

/** How well a language model predicts text. */
export interface LanguageModelScores {
  /** Sum of -ln p(token | tokens before it), in nats. */
  readonly negativeLogLikelihood: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
  /** exp of the mean negative log-likelihood. */
  readonly perplexity: number;
}

/**
 * Scores a causal language model on a split: each token of a text given those before it, the first one excepted; of a
 * generation pair the target's tokens only.
 * @throws ModelpressError `evaluate.task` for a model of another task; those of `predict`.
 */
export async function scoreLanguageModel(
  bundle: string,
  dataset: string,
  split: Split,
  options: PredictOptions,
): Promise<LanguageModelScores> {
  const { task, output } = await readManifest(bundle);
  if (task !== 'causal-lm') {
    throw invalid('evaluate.task', `Perplexity needs a causal-lm model, not ${task}.`, { field: 'task' });
  }
  return withTokens(bundle, dataset, split, { batchSize: 8, ...options }, async ({ rows }, batches) => {
    const executable = await options.runtime.compile({ path: join(bundle, MODEL_FILE) }, options.compile);
    try {
      const epoch = batches.epoch(0);
      let sum = 0;
      let tokens = 0;
      for (let index = 0; index < epoch.count; index++) {
        throwIfAborted(options.signal);
        const scored = await scoreBatch(executable, epoch.batch(index), output, rows);
        sum += scored.sum;
        tokens += scored.tokens;
        options.onProgress?.((index + 1) / epoch.count);
      }
      return { negativeLogLikelihood: sum, tokens, perplexity: Math.exp(sum / tokens) };
    } finally {
      await executable.release();
    }
  });
}

async function scoreBatch(
  executable: Executable,
  batch: Batch,
  output: string,
  rows: TokenRows,
): Promise<{ sum: number; tokens: number }> {
  const { dims, data } = (await executable.run(batch.inputs))[output];
  const vocabulary = dims[2];
  const logits = data as Float32Array;
  let sum = 0;
  let tokens = 0;
  batch.rows.forEach((row, i) => {
    const ids = rows.ids(row);
    const targetStart = rows.firstLengths[row] < ids.length ? rows.firstLengths[row] : 1;
    for (let at = Math.max(1, targetStart); at < ids.length; at++) {
      const start = (i * batch.sequence + at - 1) * vocabulary;
      const position = logits.subarray(start, start + vocabulary);
      sum += logSumExp(position) - position[ids[at]];
      tokens++;
    }
  });
  return { sum, tokens };
}

/** ln sum exp(x), without overflow. */
export function logSumExp(values: Float32Array): number {
  let top = -Infinity;
  for (const value of values) if (value > top) top = value;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - top);
  return top + Math.log(sum);
}
