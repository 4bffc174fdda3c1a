/** @file Which texts calibrate a model, and those texts as its inputs. */
import { createHash } from 'node:crypto';
import { withTokens } from '../evaluate/predict';
import { foreignLabels, readLabels, readManifest } from '../bundle';
import { invalid } from '../errors';
import { Batches, readDatasetInfo } from '../text';
import type { DatasetInfo, Split } from '../text';
import { Random } from '../train/random';
import type { CalibrationRows } from './observe';

export interface CalibrationSource {
  /** Bundle folder. */
  readonly bundle: string;
  readonly dataset: string;
  /** Whether the data set was given for calibration alone: any of its splits may be used. */
  readonly dedicated: boolean;
  /** Texts to use at most, drawn at random. */
  readonly rows: number;
  readonly maxLength: number;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/** The split that calibrates: never the test split of task data. */
export function calibrationSplit({ splits }: DatasetInfo, dedicated: boolean): Split | undefined {
  const order = dedicated ? (['train', 'dev', 'test'] as const) : (['dev', 'train'] as const);
  return order.find((split) => (splits[split]?.rows ?? 0) > 0);
}

/**
 * Hands calibration rows to `use`.
 * @throws `quantize.no-calibration-rows`, `quantize.foreign-labels`
 */
export async function withCalibrationRows<T>(
  source: CalibrationSource,
  use: (rows: CalibrationRows) => Promise<T>,
): Promise<T> {
  const { bundle, dataset, dedicated } = source;
  const info = await readDatasetInfo(dataset);
  const split = calibrationSplit(info, dedicated);
  if (!split) throw invalid('quantize.no-calibration-rows', noRows(info, dedicated), { field: 'datasets.calibration' });
  const foreign = foreignLabels(await readLabels(bundle), info.labels);
  if (foreign.length > 0) {
    throw invalid('quantize.foreign-labels', foreignMessage(info, foreign), { field: 'datasets.calibration' });
  }
  return withRowsOf(split, source, use);
}

/** Hands rows of one split to `use`, whichever it is. */
export async function withRowsOf<T>(
  split: Split,
  { bundle, dataset, rows: wanted, maxLength, seed, signal }: Omit<CalibrationSource, 'dedicated'>,
  use: (rows: CalibrationRows) => Promise<T>,
): Promise<T> {
  const options = { batchSize: 1, maxLength, labels: await readLabels(bundle), ...(signal && { signal }) };
  return withTokens(bundle, dataset, split, options, async ({ rows }) => {
    const { inputs, tokenizer, maxLength: longest } = await readManifest(bundle);
    const lengths = [...new Set(rows.lengths)].sort((a, b) => a - b);
    const batches = new Batches(rows, {
      batchSize: 1,
      maxLength: Math.min(longest, maxLength),
      padId: tokenizer!.padId,
      inputs,
      labels: 'none',
      buckets: lengths.filter((length) => length > 0),
    });
    const epoch = batches.epoch(0);
    const chosen = drawn(epoch.count, wanted, seed);
    const hash = createHash('sha256');
    for (const row of chosen) hash.update(rows.ids(epoch.batch(row).rows[0])).update(';');
    return use({ count: chosen.length, digest: hash.digest('hex'), inputs: (row) => epoch.batch(chosen[row]).inputs });
  });
}

export const noRows = ({ name }: DatasetInfo, dedicated: boolean): string =>
  dedicated
    ? `The calibration data set "${name}" has no rows.`
    : `The data set "${name}" has no rows in dev or train to calibrate with; test is never used.`;

export const foreignMessage = ({ name }: DatasetInfo, foreign: readonly string[]): string =>
  `The calibration data "${name}" are of another task: the model has no label ${foreign.slice(0, 5).join(', ')}.`;

/** `wanted` of the numbers below `count`, in rising order. */
function drawn(count: number, wanted: number, seed: number): number[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  if (wanted >= count) return numbers;
  const random = new Random(seed);
  for (let i = 0; i < wanted; i++) {
    const other = i + random.integer(count - i);
    [numbers[i], numbers[other]] = [numbers[other], numbers[i]];
  }
  return numbers.slice(0, wanted).sort((a, b) => a - b);
}
