/** @file The quantize stage's promise of accuracy: which weights must stay float so that it holds on the dev split. */
import { join } from 'node:path';
import { z } from 'zod';
import { readManifest } from '../bundle';
import type { Manifest } from '../bundle';
import { invalid } from '../errors';
import { metricsOf } from '../evaluate';
import type { Model } from '../graph';
import { exclusionsSchema } from '../quantize';
import type { QuantizeMethod } from '../quantize';
import { maxDropSchema } from '../recipe/recipe';
import { nameOf } from '../sensitivity/choices';
import { allowedDrop, dropOf } from '../sensitivity/drop';
import { rankingOf, readSensitivity, SENSITIVITY_STEP, worstWeights } from '../sensitivity/effects';
import { searchFallback } from '../sensitivity/fallback';
import type { FallbackResult, Outcome } from '../sensitivity/fallback';
import { changedWeights, componentGroups, layerGroups } from '../sensitivity/groups';
import type { WeightGroup } from '../sensitivity/groups';
import { canJudge, Judge } from '../sensitivity/judge';
import { ResultCache } from '../sensitivity/result-cache';
import { readDatasetInfo } from '../text';
import type { DatasetInfo, Split } from '../text';
import type { Issue, StageContext, StagePreview } from './stage';

export const keepSchema = z
  .strictObject({
    maxDrop: maxDropSchema.describe('Largest loss against the model that the stage reads.'),
    maxTrials: z.int().min(1).max(1000).default(40).describe('Versions of the model that are tried at most.'),
    maxSeconds: z
      .number()
      .positive()
      .default(1800)
      .describe('Time for trying; the best version so far is taken when it is over.'),
    rows: z
      .int()
      .min(10)
      .default(1000)
      .describe('Rows of the dev split that each version is tried on, drawn at random.'),
  })
  .describe(
    'A promise of accuracy: the weights that cost most stay float until the loss on the dev split is within a limit.',
  );
export type Keep = z.infer<typeof keepSchema>;

const outcomeSchema = z.object({
  figure: z.number(),
  drop: z.number(),
  divergence: z.number(),
  bytes: z.number(),
}) satisfies z.ZodType<Outcome>;

export const excludeSchema = exclusionsSchema.extend({
  mostSensitive: z
    .int()
    .min(0)
    .default(0)
    .describe('So many matrices stay float: those that suffer most by the sensitivity stage right before this one.'),
});

/** The search as the report needs it. */
export interface Kept extends FallbackResult {
  readonly metric: string;
  readonly original: number;
  readonly limit: number;
  readonly rows: number;
  readonly split: Split;
}

/** Whether the ranking that the exclusions ask for will be there. */
export function rankingIssues(mostSensitive: number, { model }: StagePreview): readonly Issue[] {
  if (mostSensitive === 0 || !model || model.provenance.at(-1)?.step === SENSITIVITY_STEP) return [];
  return [{ path: 'exclude.mostSensitive', code: 'no-ranking', message: NO_RANKING }];
}

const NO_RANKING =
  'No sensitivity stage ranked the model that this stage reads: put one right before it, with its cells.';

/** Names of the weights that suffer most from a method. @throws `quantize.no-ranking` */
export async function mostSensitiveWeights(bundle: string, method: QuantizeMethod, count: number): Promise<string[]> {
  if (count === 0) return [];
  const sensitivity = await readSensitivity(bundle);
  const worst = sensitivity ? worstWeights(sensitivity, choiceOf(method), count) : [];
  if (worst.length > 0) return worst;
  throw invalid('quantize.no-ranking', NO_RANKING, { field: 'exclude.mostSensitive' });
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

/** What is quantized, and what it is measured against. */
interface Quantization {
  /** The model that the stage reads; versions may lose this much against it. */
  readonly original: Model;
  /** What is quantized: the same, or trained for it. */
  readonly float: Model;
  readonly method: QuantizeMethod;
  /** Progress of the stage when the search begins; it ends at 0.8. */
  readonly from: number;
}

/**
 * Tries versions of the model until the drop is within the limit.
 * @param quantize makes a version in which these weights stay float, and leaves the float model as it is
 * @returns how it went; `best.weights` are to stay float
 */
export async function keepAccuracy(
  keep: Keep,
  { original, float, method, from }: Quantization,
  context: StageContext,
  quantize: (floats: readonly string[]) => Model,
): Promise<Kept> {
  const { model: bundle, datasets, checkpoints, threads, seed, signal } = context;
  if (bundle === undefined || datasets.data === undefined)
    throw invalid('quantize.keep', 'To keep the accuracy, the stage needs a data set as "data".', { field: 'keep' });
  const info = await readDatasetInfo(datasets.data);
  const split = chooseSplit(info);
  if (!split) throw invalid('quantize.keep', `The data set "${info.name}" has no dev split.`, { field: 'keep' });
  const { metric } = keep.maxDrop;
  const manifest = await readManifest(bundle);
  const sensitivity = await readSensitivity(bundle);
  const options = { bundle, manifest, dataset: datasets.data, split, rows: keep.rows, seed, threads, signal };
  return Judge.open(original, options, async (judge) => {
    const before = figureOf(judge.original.figures, metric, manifest);
    const limit = allowedDrop(keep.maxDrop, before);
    const all = changedWeights(float, quantize([]));
    const cache = new ResultCache(join(checkpoints, 'trials.json'), outcomeSchema);
    const started = Date.now();
    const seconds = (): number => (Date.now() - started) / 1000;
    let trials = 0;
    const evaluate = (floats: readonly string[]): Promise<Outcome> => {
      const phase = `version ${trials + 1} of at most ${keep.maxTrials}: ${floats.length} of ${all.length} weights stay float`;
      const eta = trials === 0 ? {} : { etaSeconds: (seconds() / trials) * (keep.maxTrials - trials) };
      context.progress({ fraction: from + ((0.8 - from) * trials) / keep.maxTrials, phase, ...eta });
      trials++;
      return cache.of(floats.join('\n'), async () => {
        const version = quantize(floats);
        const { figures, divergence } = await judge.judge(version);
        const figure = figureOf(figures, metric, manifest);
        context.metric(`keep.${metric}`, trials, figure);
        return { figure, drop: dropOf(metric, before, figure), divergence, bytes: weightBytes(version) };
      });
    };
    const found = await searchFallback({
      blocks: layerGroups(all, manifest.components),
      components: largestFirst(componentGroups(all, manifest.components), float),
      ...(sensitivity ? { ranking: rankingOf(sensitivity, choiceOf(method)) } : {}),
      limit,
      evaluate,
      isSpent: (count) => count >= keep.maxTrials || seconds() > keep.maxSeconds,
    });
    return { ...found, metric, original: before, limit, rows: judge.rows, split };
  });
}

/** The nearest of what a sensitivity stage tries. */
const choiceOf = (method: QuantizeMethod): string =>
  nameOf(method.kind === 'weight-only' ? { type: 'weights', bits: method.bits } : { type: 'int8' });

function figureOf(figures: Readonly<Record<string, number>>, metric: string, { task }: Manifest): number {
  const figure = figures[metric];
  if (figure !== undefined) return figure;
  throw invalid('quantize.keep', `A model for ${task} has no "${metric}".`, { field: 'keep.maxDrop.metric' });
}

/** So that what is compressed again first saves most. */
const largestFirst = (groups: readonly WeightGroup[], { graph }: Model): WeightGroup[] => {
  const size = ({ weights }: WeightGroup): number =>
    weights.reduce((sum, weight) => sum + graph.value(weight).constant!.size, 0);
  return [...groups].sort((a, b) => size(b) - size(a));
};

const weightBytes = ({ graph }: Model): number =>
  graph.initializers.reduce((sum, { constant }) => sum + constant!.bytes.byteLength, 0);
