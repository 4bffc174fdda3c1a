/** @file Stage `prune`: remove weights, neurons, heads or layers while training, and recover. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MODEL_FILE, readBundle, writeBundle } from '../bundle';
import type { Bundle } from '../bundle';
import { invalid } from '../errors';
import type { TaskLoss } from '../finetune/loss';
import { recoveryLoss, requireLabels } from '../finetune/recovery';
import { requireTrainSplit, tokenizeData } from '../finetune/train-on';
import type { TokenizedData, TrainingContext, TrainingOutcome } from '../finetune/train-on';
import { scoreBatches } from '../finetune/score';
import type { Scores } from '../finetune/score';
import { pruneSchema, isStructured } from '../prune/config';
import type { PruneConfig } from '../prune/config';
import { pruneIssues } from '../prune/check';
import { cutVocabulary } from '../prune/cut-vocabulary';
import { neuronTargets, pruneStructured } from '../prune/structured-run';
import { sensitiveTargets } from '../prune/sensitive-targets';
import { pruneUnstructured } from '../prune/unstructured-run';
import { timeByWork } from '../prune/where-time-goes';
import { ortRuntime } from '../runtime';
import { countTokens, keptVocabulary } from '../prune/vocabulary';
import { loadTokenizer, readDatasetInfo, readTokenizerSource, Tokenizer } from '../text';
import type { Batches, DatasetInfo } from '../text';
import { collapseWarning, targetsSection, timeSection } from './prune-analysis';
import { denseFigures, structuredReport, unstructuredReport, vocabularyReport } from './prune-report';
import type { Before } from './prune-report';
import type { StageContext, StageDefinition, StageResult } from './stage';

/** Name of this step in a model's provenance. */
const STEP = 'prune';

export const pruneStage: StageDefinition<PruneConfig> = {
  type: 'prune',
  version: 6,
  queue: 'prune',
  summary:
    'Remove weights, neurons, heads or layers by importance while training, then recover; neurons and heads really go.',
  schema: pruneSchema,
  needs: { model: true, datasets: ['data'] },
  makesModel: true,
  measures: () => ({ bytes: true }),
  onQuantized: () => ({ refuses: 'prune the float model it was made from, then quantize' }),
  check: pruneIssues,
  outcome: (config, model) => ({
    ...model,
    provenance: [...model.provenance, { step: STEP, detail: { target: config.target } }],
  }),
  run,
};

async function run(config: PruneConfig, context: StageContext): Promise<StageResult> {
  const { model: folder } = context;
  const dataset = context.datasets.data;
  if (folder === undefined || dataset === undefined)
    throw invalid('stage.input', 'The prune stage needs a model and a data set.');
  const info = await readDatasetInfo(dataset);
  requireTrainSplit(info);
  const original = await readBundle(folder);
  requireLabels(original, info.labels, 'prune.labels');
  const training = { ...context, dataset };
  const read = await tokenizeData(training, config, original, await loadTokenizer(folder), info);
  const loss = await recoveryLoss(config, training, folder, original, read);
  const { bundle, data } = config.vocabulary
    ? await withoutUnusedTokens(config.vocabulary, config, training, folder, original, read, info)
    : { bundle: original, data: read };
  const output = join(context.output, 'model');
  const before: Before = { bundle: original, folder };
  const { warnings } = data;
  if (prunesNothing(config)) {
    await writeBundle(output, bundle);
    return { model: 'model', ...(await vocabularyReport(before, output, bundle.manifest)), warnings };
  }
  const dense = read.dev && (await denseScores(training, folder, original, read.dev, loss));
  const allotted = config.bySensitivity ? await sensitiveTargets(folder, original, config) : [];
  const targets = Object.fromEntries(allotted.map(({ component, target }) => [component, target]));
  const prunes = isStructured(config.granularity) ? pruned : thinnedOut;
  const settled = { ...config, targets: { ...config.targets, ...targets } };
  const result = await prunes(settled, training, bundle, data, loss, before, output);
  const collapse = collapseWarning(result.outcome, dense?.[result.outcome.metric]);
  return {
    model: 'model',
    measurements: [...denseFigures(dense), ...result.report.measurements],
    sections: [...result.report.sections, ...(config.bySensitivity ? [targetsSection(allotted)] : [])],
    warnings: [...warnings, ...(collapse ? [collapse] : []), ...result.report.warnings],
  };
}

/** What a run gave and what its report says. */
interface Pruned {
  readonly outcome: Omit<TrainingOutcome, 'trainer'>;
  readonly report: Pick<StageResult, 'measurements' | 'sections' | 'warnings'>;
}

/** Neurons, heads and layers. */
async function pruned(
  config: PruneConfig,
  context: TrainingContext,
  bundle: Bundle,
  data: TokenizedData,
  loss: TaskLoss,
  before: Before,
  output: string,
): Promise<Pruned> {
  const outcome = await pruneStructured(config, context, bundle, data, loss);
  await writeBundle(output, outcome.bundle);
  const report = await structuredReport(before, output, outcome);
  const { manifest } = outcome.bundle;
  context.progress({ fraction: 1, phase: 'measuring where the time goes' });
  const time = await timeByWork(
    { folder: before.folder, manifest: before.bundle.manifest },
    { folder: output, manifest },
    context,
  );
  return { outcome, report: { ...report, sections: [...report.sections, timeSection(time)], warnings: [] } };
}

/** Single weights, n-of-m and blocks. */
async function thinnedOut(
  config: PruneConfig,
  context: TrainingContext,
  bundle: Bundle,
  data: TokenizedData,
  loss: TaskLoss,
  _before: Before,
  output: string,
): Promise<Pruned> {
  const outcome = await pruneUnstructured(config, context, bundle, data, loss);
  await writeBundle(output, outcome.bundle);
  return { outcome, report: await unstructuredReport(config, output, outcome) };
}

/** Scores of the model as it came, on the dev split. */
async function denseScores(
  { threads }: TrainingContext,
  folder: string,
  { manifest }: Bundle,
  dev: Batches,
  loss: TaskLoss,
): Promise<Scores> {
  const executable = await ortRuntime.compile({ path: join(folder, MODEL_FILE) }, { threads });
  try {
    return await scoreBatches({ forward: (inputs) => executable.run(inputs) }, dev, manifest, loss);
  } finally {
    await executable.release();
  }
}

/** Whether only the vocabulary is cut. */
const prunesNothing = (config: PruneConfig): boolean =>
  config.epochs === 0 && isStructured(config.granularity) && Object.keys(neuronTargets(config)).length === 0;

/** The bundle without the tokens that the data lacks, and the data in its ids. */
async function withoutUnusedTokens(
  { minCount }: NonNullable<PruneConfig['vocabulary']>,
  config: PruneConfig,
  context: TrainingContext,
  folder: string,
  original: Bundle,
  { train, dev }: TokenizedData,
  info: DatasetInfo,
): Promise<{ bundle: Bundle; data: TokenizedData }> {
  const source = await readTokenizerSource(folder);
  const counts = countTokens([train.source, ...(dev ? [dev.source] : [])]);
  const keep = keptVocabulary(source, counts, minCount);
  const bundle = cutVocabulary(original, source, keep);
  const { vocabularySize } = new Tokenizer(source);
  context.log('info', `the vocabulary keeps ${keep.ids.length} of ${vocabularySize} tokens`);
  const tokenizerFolder = join(context.checkpoints, 'tokenizer');
  await mkdir(tokenizerFolder, { recursive: true });
  for (const [name, content] of bundle.tokenizerFiles) await writeFile(join(tokenizerFolder, name), content);
  return { bundle, data: await tokenizeData(context, config, bundle, await loadTokenizer(tokenizerFolder), info) };
}
