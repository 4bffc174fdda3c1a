/** @file The quantize stage's promise of accuracy: which weights must stay float so that it holds on the dev split. */
import { join } from 'node:path';
import { z } from 'zod';
import type { Bundle, Manifest } from '../bundle';
import { invalid } from '../errors';
import { metricsOf } from '../evaluate';
import type { Model } from '../graph';
import { maxDropSchema } from '../recipe/recipe';
import { allowedDrop, dropOf } from '../sensitivity/drop';
import { rankingOf, readSensitivity } from '../sensitivity/effects';
import { searchFallback } from '../sensitivity/fallback';
import type { FallbackResult, Outcome } from '../sensitivity/fallback';
import { changedWeights, componentGroups, layerGroups } from '../sensitivity/groups';
import { canJudge, Judge } from '../sensitivity/judge';
import { ResultCache } from '../sensitivity/result-cache';
import { readDatasetInfo } from '../text';
import type { DatasetInfo, Split } from '../text';
import type { Issue, StageContext, StagePreview } from './stage';

export const keepSchema = z.strictObject({
  maxDrop: maxDropSchema.describe(
    'Largest loss against the model that the stage reads, measured on the dev split. The weights that cost most stay float until it holds.',
  ),
  maxTrials: z.int().min(1).max(1000).default(40).describe('Versions of the model that are tried at most.'),
  maxSeconds: z
    .number()
    .positive()
    .default(1800)
    .describe('Time for trying; the best version so far is taken when it is over.'),
  rows: z.int().min(10).default(1000).describe('Rows of the dev split that each version is tried on, drawn at random.'),
});
export type Keep = z.infer<typeof keepSchema>;

const outcomeSchema = z.object({
  figure: z.number(),
  drop: z.number(),
  divergence: z.number(),
  bytes: z.number(),
}) satisfies z.ZodType<Outcome>;

/** The search as the report needs it. */
export interface Kept extends FallbackResult {
  readonly metric: string;
  readonly original: number;
  readonly limit: number;
  readonly rows: number;
  readonly split: Split;
}

/** What can be refused at submit; paths below `keep`. */
export function keepIssues(keep: Keep | undefined, { model, datasets: { data } }: StagePreview): readonly Issue[] {
  if (!keep) return [];
  const issues: Issue[] = [];
  const issue = (path: string, code: string, message: string): void => void issues.push({ path, code, message });
  if (!data) issue('keep', 'no-data', 'To keep the accuracy, the stage needs a data set as "data" to measure it on.');
  else if (!chooseSplit(data))
    issue('keep', 'no-split', `The data set "${data.name}" has neither a dev nor a train split; test is never used.`);
  if (!model) return issues;
  if (!canJudge(model)) {
    const what = model.architecture === 'dan' ? 'a DAN, which has one table' : `a model for ${model.task}`;
    issue(
      'keep',
      'unsupported',
      `Weights can be left float one by one for classifiers and regression, not for ${what}.`,
    );
    return issues;
  }
  const { metric } = keep.maxDrop;
  const known = metricsOf(model.task);
  if (!known.includes(metric))
    issue(
      'keep.maxDrop.metric',
      'unknown-metric',
      `A model for ${model.task} has no "${metric}"; known: ${known.join(', ')}.`,
    );
  return issues;
}

/** Dev, or where there is none a part of train; never test, which must stay unseen. */
const chooseSplit = ({ splits }: DatasetInfo): Split | undefined =>
  (['dev', 'train'] as const).find((name) => splits[name]);

/**
 * Tries versions of the model until the drop is within the limit.
 * @param choice what the method is called in sensitivity.json, whose ranking is used where the model came with one
 * @param quantize makes a version in which these weights stay float, and leaves the given model as it is
 * @returns names of the weights to leave float, and how that was found
 */
export async function keepAccuracy(
  keep: Keep,
  { model, manifest }: Pick<Bundle, 'model' | 'manifest'>,
  context: StageContext,
  choice: string,
  quantize: (floats: readonly string[]) => Promise<Model>,
): Promise<Kept> {
  const { model: folder, datasets, checkpoints, threads, seed, signal } = context;
  if (folder === undefined || datasets.data === undefined)
    throw invalid('quantize.keep', 'To keep the accuracy, the stage needs a data set as "data".', { field: 'keep' });
  const info = await readDatasetInfo(datasets.data);
  const split = chooseSplit(info);
  if (!split) throw invalid('quantize.keep', `The data set "${info.name}" has no dev split.`, { field: 'keep' });
  const { metric } = keep.maxDrop;
  const sensitivity = await readSensitivity(folder);
  const options = { bundle: folder, manifest, dataset: datasets.data, split, rows: keep.rows, seed, threads, signal };
  return Judge.open(model, options, async (judge) => {
    const original = figureOf(judge.original.figures, metric, manifest);
    const limit = allowedDrop(keep.maxDrop, original);
    const all = changedWeights(model, await quantize([]));
    const cache = new ResultCache(join(checkpoints, 'trials.json'), outcomeSchema);
    const end = Date.now() + keep.maxSeconds * 1000;
    const started = Date.now();
    let trials = 0;
    const evaluate = (floats: readonly string[]): Promise<Outcome> => {
      trials++;
      const etaSeconds = ((Date.now() - started) / 1000 / trials) * (keep.maxTrials - trials);
      const phase = `trial ${trials} of at most ${keep.maxTrials}: ${floats.length} of ${all.length} weights stay float`;
      context.progress({ fraction: 0.1 + (0.5 * trials) / (keep.maxTrials + 1), phase, etaSeconds });
      return cache.of(floats.join('\n'), async () => {
        const version = await quantize(floats);
        const { figures, divergence } = await judge.judge(version);
        const figure = figureOf(figures, metric, manifest);
        const outcome = { figure, drop: dropOf(metric, original, figure), divergence, bytes: weightBytes(version) };
        context.metric(`keep.${metric}`, trials, figure);
        return outcome;
      });
    };
    const found = await searchFallback({
      blocks: layerGroups(all, manifest.components),
      components: componentGroups(all, manifest.components),
      ...(sensitivity ? { ranking: rankingOf(sensitivity, choice) } : {}),
      limit,
      evaluate,
      isSpent: (count) => count >= keep.maxTrials || Date.now() > end,
    });
    return { ...found, metric, original, limit, rows: judge.rows, split };
  });
}

function figureOf(figures: Readonly<Record<string, number>>, metric: string, { task }: Manifest): number {
  const figure = figures[metric];
  if (figure !== undefined) return figure;
  throw invalid('quantize.keep', `A model for ${task} has no "${metric}".`, { field: 'keep.maxDrop.metric' });
}

const weightBytes = ({ graph }: Model): number =>
  graph.initializers.reduce((sum, { constant }) => sum + constant!.bytes.byteLength, 0);
