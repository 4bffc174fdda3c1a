import { z } from 'zod';
import { foreignLabels, labelsOf, readManifest } from '../bundle';
import type { Manifest } from '../bundle';
import { invalid, ModelpressError, unsupported } from '../errors';
import { measureRobustness, PERTURBATIONS, predict, scoreRegression } from '../evaluate';
import type { PredictOptions } from '../evaluate';
import { GRAPH_RUNTIMES, runtimeChoiceSchema, servingIssues, servingOf, servingPrecisionSchema } from '../runtime';
import type { Serving } from '../runtime';
import { readDatasetInfo, SPLITS } from '../text';
import type { Split } from '../text';
import { classificationOutcome } from './evaluate-classification';
import type { Classified } from './evaluate-classification';
import { generationOutcome, generationScores, languageScores } from './evaluate-language';
import type { Score } from './evaluate-language';
import { plainOutcome } from './evaluate-plain';
import type { Issue, StageContext, StageDefinition, StagePreview, StageResult } from './stage';

const schema = z.strictObject({
  split: z
    .enum(SPLITS)
    .optional()
    .describe('Split to evaluate on; default: test, or the best that the data set has (dev, train).'),
  batchSize: z.int().min(1).max(1024).optional().describe('Rows fed at once; default 32, of language models 8.'),
  maxLength: z.int().min(2).optional().describe('Longest text in tokens; default: what the model takes.'),
  resamples: z
    .int()
    .min(100)
    .max(100_000)
    .default(1000)
    .describe('Bootstrap resamples behind each confidence interval.'),
  robustness: z
    .strictObject({
      perturbations: z
        .array(z.enum(PERTURBATIONS))
        .default(['typos', 'upper-case', 'word-drop'])
        .describe('Changes to the texts; none: not measured.'),
      rate: z.number().gt(0).max(1).default(0.1).describe('Share of words that typos and drops touch.'),
      seeds: z.int().min(1).max(20).default(2).describe('Times that changes by chance are made, each on other words.'),
      rows: z.int().min(10).default(300).describe('Rows at most, drawn at random.'),
    })
    .prefault({})
    .describe('Of classifiers: accuracy on texts with small changes, of both models.'),
  generation: z
    .strictObject({
      prompts: z.int().min(1).default(200).describe('Prompts to answer: the first of the split.'),
      maxNewTokens: z.int().min(1).max(1024).default(64).describe('Tokens after which an answer is cut off.'),
    })
    .prefault({})
    .describe('For causal language models on generation data.'),
  runtime: runtimeChoiceSchema,
  precision: servingPrecisionSchema,
});
type EvaluateConfig = z.infer<typeof schema>;

export const evaluateStage: StageDefinition<EvaluateConfig> = {
  type: 'evaluate',
  version: 5,
  queue: 'bench',
  summary:
    'Measures quality beside the original model: accuracy, macro F1, per class, fidelity, robustness; perplexity, BLEU and ROUGE-L of language models.',
  schema,
  needs: { model: true, baseline: true, datasets: ['data'] },
  makesModel: false,
  measures: () => ({ quality: true }),
  check,
  run,
};

function check(
  { split, maxLength, runtime, precision }: EvaluateConfig,
  { model, datasets: { data } }: StagePreview,
): readonly Issue[] {
  const issues: Issue[] = [...servingIssues(runtime, precision)];
  const issue = (path: string, code: string, message: string): void => void issues.push({ path, code, message });
  if (split && data && !data.splits[split])
    issue('split', 'no-such-split', `The data set "${data.name}" has no ${split} split.`);
  if (!model) return issues;
  const isLanguageModel = model.task === 'causal-lm' || model.task === 'masked-lm';
  if (data && !isLanguageModel && (data.kind === 'unlabelled' || data.kind === 'generation'))
    issue('', 'no-labels', `The data set "${data.name}" has no labels to compare with.`);
  if (!model.tokenizer) issue('', 'no-tokenizer', 'The model has no tokenizer, so it cannot read texts.');
  if (maxLength !== undefined && maxLength > model.maxLength) {
    issue('maxLength', 'too-long', `The model takes at most ${model.maxLength} tokens.`);
  }
  const foreign = data && !isLanguageModel ? foreignLabels(labelsOf(model), data.labels) : [];
  if (foreign.length > 0) {
    issue(
      '',
      'unknown-label',
      `The model does not know ${foreign.length} labels of the data set: ${foreign.slice(0, 5).join(', ')}.`,
    );
  }
  return issues;
}

async function run(config: EvaluateConfig, context: StageContext): Promise<StageResult> {
  const {
    model,
    datasets: { data },
  } = context;
  if (model === undefined || data === undefined)
    throw invalid('stage.inputs', 'The evaluate stage needs a model and data.');
  const { splits, kind } = await readDatasetInfo(data);
  const split = config.split ?? SPLITS.findLast((name) => splits[name]);
  if (!split) throw invalid('evaluate.no-split', 'The data set has no split.', { field: 'split' });
  const manifest = await readManifest(model);
  const { task } = manifest;
  const { precision } = servingOf(manifest, config.runtime, config.precision);
  // In bf16 a model is also compared with itself as it is stored.
  const baseline = context.baseline === model && precision === 'fp32' ? undefined : context.baseline;
  const evaluation: Evaluation = { config, context, data, split };
  switch (task) {
    case 'classification':
    case 'pair-classification':
      return classificationOutcome(...(await both(evaluation, model, baseline, classifierScores(evaluation))), split, {
        resamples: config.resamples,
        seed: context.seed,
      });
    case 'regression':
      return plainOutcome(...(await both(evaluation, model, baseline, regressionScores)), split);
    case 'masked-lm':
      return plainOutcome(...(await both(evaluation, model, baseline, languageScores)), split);
    case 'causal-lm':
      return kind === 'generation'
        ? generationOutcome(...(await both(evaluation, model, baseline, generationScores(config.generation))), split)
        : plainOutcome(...(await both(evaluation, model, baseline, languageScores)), split);
    case 'embedding':
      throw unsupported('evaluate.task', 'An embedding model has no labels to be right about.', { field: 'task' });
  }
}

/** What one run of the stage works on. */
interface Evaluation {
  readonly config: EvaluateConfig;
  readonly context: StageContext;
  readonly data: string;
  readonly split: Split;
}

/** Predictions, and how they hold on changed texts. */
const classifierScores =
  ({ config: { robustness }, context: { seed } }: Evaluation): Score<Classified> =>
  async (model, data, split, options) => {
    const isAsked = robustness.perturbations.length > 0;
    const part = (start: number, share: number): PredictOptions => ({
      ...options,
      onProgress: (fraction) => options.onProgress?.(start + share * fraction),
    });
    const predictions = await predict(model, data, split, part(0, isAsked ? 0.4 : 1));
    if (!isAsked || predictions.labels.some(Number.isNaN)) return { predictions };
    const settings = { ...robustness, seed };
    return { predictions, robustness: await measureRobustness(model, data, split, settings, part(0.4, 0.6)) };
  };

async function regressionScores(...args: Parameters<Score<unknown>>): Promise<Record<string, number>> {
  const { logits, labels } = await predict(...args);
  return { ...scoreRegression(logits, labels) };
}

/** Scores the model, then the original. An original that cannot be scored on this data leaves a warning. */
async function both<T>(
  { config, context, data, split }: Evaluation,
  model: string,
  baseline: string | undefined,
  score: Score<T>,
): Promise<[candidate: T, baseline: T | undefined, warnings: string[]]> {
  const share = baseline === undefined ? 1 : 0.5;
  const options = (start: number, phase: string, { runtime, precision }: Serving): PredictOptions => ({
    runtime: GRAPH_RUNTIMES[runtime],
    compile: { threads: context.threads, precision },
    ...(config.batchSize === undefined ? {} : { batchSize: config.batchSize }),
    ...(config.maxLength === undefined ? {} : { maxLength: config.maxLength }),
    signal: context.signal,
    onProgress: (fraction) => context.progress({ fraction: 0.95 * (start + share * fraction), phase }),
  });
  const manifest = await readManifest(model);
  const serving = servingOf(manifest, config.runtime, config.precision);
  const warnings = serving.warning === undefined ? [] : [serving.warning];
  const candidate = await score(model, data, split, options(0, 'the result', serving));
  if (baseline === undefined) return [candidate, undefined, warnings];
  try {
    const originalManifest = await readManifest(baseline);
    const stranger = strangeness(originalManifest, manifest, (await readDatasetInfo(data)).labels);
    if (stranger !== undefined) {
      const remedy = "the recipe's `baseline` can name a stage to compare with.";
      return [
        candidate,
        undefined,
        [...warnings, `The original model is no comparison, because ${stranger}; ${remedy}`],
      ];
    }
    const original = servingOf(originalManifest, config.runtime);
    return [candidate, await score(baseline, data, split, options(share, 'the original', original)), warnings];
  } catch (error) {
    if (!(error instanceof ModelpressError) || error.kind === 'cancelled') throw error;
    const failure = `The original model could not be evaluated on this data: ${error.message}`;
    return [candidate, undefined, [...warnings, failure]];
  }
}

/** Why the original model's figures on this data would say nothing about the result's. */
function strangeness(original: Manifest, result: Manifest, labels: readonly string[]): string | undefined {
  if (original.task !== result.task) return `it is a model for ${original.task}, not for ${result.task}`;
  const lacking = foreignLabels(labelsOf(original), labels);
  if (lacking.length <= foreignLabels(labelsOf(result), labels).length) return undefined;
  return `it does not know the labels ${lacking.slice(0, 5).join(', ')}${lacking.length > 5 ? ' ...' : ''}`;
}
