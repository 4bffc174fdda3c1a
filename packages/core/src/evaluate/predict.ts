import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelFileFor, readLabels, readManifest } from '../bundle';
import type { Manifest } from '../bundle';
import { predictDan } from '../dan/predict';
import { invalid, throwIfAborted } from '../errors';
import type { CompileOptions, Executable, Runtime } from '../runtime';
import { Batches, loadTokenizer, readDatasetInfo, tokenizeSplit } from '../text';
import type { Batch, Split, TokenStatistics, TokenizedSplit } from '../text';

export interface PredictOptions {
  readonly runtime: Runtime;
  readonly compile?: CompileOptions;
  /** Rows of a run; default 32. */
  readonly batchSize?: number;
  /** Longest text in tokens; default, and at most, what the model takes. */
  readonly maxLength?: number;
  readonly signal?: AbortSignal;
  /** Hears the share of rows that are done. */
  readonly onProgress?: (fraction: number) => void;
}

/** What a model says of a split, rows in the split's order. */
export interface Predictions {
  /** [rows, outputs], row-major. */
  readonly logits: Float32Array;
  /** Values per row: classes, or 1 for regression. */
  readonly outputs: number;
  /** Class index of each row in the model's order, or its number for regression; NaN without a label. */
  readonly labels: Float32Array;
  /** Names by class index: the model's labels, then those that only the data have. */
  readonly labelNames: readonly string[];
  readonly tokens: TokenStatistics;
}

/**
 * Runs a bundle on a split of a data set folder.
 * @throws ModelpressError `evaluate.tokenizer` for a bundle that cannot read text, `evaluate.labels` when no label of
 * the data is one of the model's, `evaluate.output` for a model with other than one row of outputs per text.
 */
export async function predict(
  bundle: string,
  dataset: string,
  split: Split,
  options: PredictOptions,
): Promise<Predictions> {
  const manifest = await readManifest(bundle);
  const labels = await readLabels(bundle);
  const info = await readDatasetInfo(dataset);
  const names = labels.length > 0 ? labels : info.labels;
  requireSharedLabels(names, info.labels);
  if (manifest.architecture === 'dan') return predictDan(bundle, dataset, split, names, options);
  return withTokens(bundle, dataset, split, { ...options, labels: names }, async ({ rows, statistics }, batches) => {
    const executable = await options.runtime.compile(
      { path: join(bundle, modelFileFor(manifest, options.runtime.name)) },
      options.compile,
    );
    try {
      const { logits, outputs } = await runBatches(executable, batches, manifest, options);
      const labelNames = [...names, ...statistics.unseenLabels];
      return { logits, outputs, labels: rows.labels, labelNames, tokens: statistics };
    } finally {
      await executable.release();
    }
  });
}

/** Tokenizes a split for a bundle, in a folder that is gone afterwards, and hands it over as batches in row order. */
export async function withTokens<T>(
  bundle: string,
  dataset: string,
  split: Split,
  {
    batchSize = 32,
    maxLength = Infinity,
    signal,
    labels = [],
  }: Omit<PredictOptions, 'runtime'> & { labels?: readonly string[] },
  use: (tokens: TokenizedSplit, batches: Batches) => Promise<T>,
): Promise<T> {
  const manifest = await readManifest(bundle);
  if (manifest.tokenizer === undefined) {
    throw invalid('evaluate.tokenizer', `The model ${manifest.name} has no tokenizer, so it cannot read text.`);
  }
  const tokenizer = await loadTokenizer(bundle);
  const folder = await mkdtemp(join(tmpdir(), 'modelpress-tokens-'));
  try {
    const longest = Math.min(maxLength, manifest.maxLength);
    const options = { folder: join(folder, split), maxLength: longest, labels, ...(signal ? { signal } : {}) };
    const tokens = await tokenizeSplit(dataset, split, tokenizer, options);
    try {
      const batches = new Batches(tokens.rows, {
        batchSize,
        maxLength: longest,
        padId: manifest.tokenizer.padId,
        inputs: manifest.inputs,
        labels: 'none',
      });
      return await use(tokens, batches);
    } finally {
      tokens.rows.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Outputs of one pass over the batches, rows in the order of their source. */
export async function runBatches(
  executable: Executable,
  batches: Batches,
  { output }: Pick<Manifest, 'output'>,
  { signal, onProgress }: Pick<PredictOptions, 'signal' | 'onProgress'> = {},
): Promise<{ logits: Float32Array; outputs: number }> {
  const { rows } = batches.source;
  const epoch = batches.epoch(0);
  let outputs = 0;
  let logits = new Float32Array();
  let done = 0;
  for (let index = 0; index < epoch.count; index++) {
    throwIfAborted(signal);
    const batch = epoch.batch(index);
    const values = await runBatch(executable, batch, output);
    if (outputs === 0) {
      outputs = values.length / batch.weights.data.length;
      logits = new Float32Array(rows * outputs);
    }
    batch.rows.forEach((row, i) => logits.set(values.subarray(i * outputs, (i + 1) * outputs), row * outputs));
    done += batch.rows.length;
    onProgress?.(done / rows);
  }
  return { logits, outputs };
}

async function runBatch(executable: Executable, batch: Batch, output: string): Promise<Float32Array> {
  const { [output]: result } = await executable.run(batch.inputs);
  if (result === undefined || result.dtype !== 'float32' || result.dims.length > 2) {
    throw invalid('evaluate.output', `The model's output ${output} is not one row of float32 values per text.`, {
      field: 'output',
    });
  }
  return result.data as Float32Array;
}

function requireSharedLabels(model: readonly string[], data: readonly string[]): void {
  if (data.length === 0 || data.some((label) => model.includes(label))) return;
  throw invalid(
    'evaluate.labels',
    `None of the data's labels (${data.slice(0, 5).join(', ')}, ...) is one of the model's (${model.slice(0, 5).join(', ')}, ...).`,
    { field: 'labels' },
  );
}
