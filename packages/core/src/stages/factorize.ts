/** @file Stage `factorize`: two thin matrices in the place of one, by singular values. */
import { join } from 'node:path';
import { bundleBytes, readBundle, writeBundle } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import { invalid } from '../errors';
import { factorizeSchema } from '../factorize/config';
import type { FactorizeConfig } from '../factorize/config';
import { factorizeIssues } from '../factorize/check';
import { estimateFactorize } from '../factorize/estimate';
import { factorEntries, factorizeBundle, FACTORIZE_STEP } from '../factorize/run';
import { requireLabels } from '../finetune/recovery';
import { requireTrainSplit, tokenizeData } from '../finetune/train-on';
import type { TokenizedData } from '../finetune/train-on';
import { loadTokenizer, readDatasetInfo } from '../text';
import { factorizeReport } from './factorize-report';
import type { StageContext, StageDefinition, StageResult } from './stage';

export const factorizeStage: StageDefinition<FactorizeConfig> = {
  type: 'factorize',
  version: 3,
  queue: 'prune',
  summary:
    'Replace matrices by two thin ones (truncated SVD, plain or activation-aware) by rank, energy or budget, then recover.',
  schema: factorizeSchema,
  needs: { model: true, datasets: [], optionalDatasets: ['data'] },
  makesModel: true,
  measures: () => ({ bytes: true }),
  onQuantized: () => ({ refuses: 'factorize the float model it was made from, then quantize' }),
  check: factorizeIssues,
  outcome,
  estimate: estimateFactorize,
  run,
};

/** Chosen matrices count as factorized; which of them stay whole is known only when their spectra are. */
function outcome({ components, method, budget }: FactorizeConfig, model: Manifest): Manifest {
  const isChosen = (component: string): boolean => components.some((chosen) => chosen === component);
  return {
    ...model,
    components: model.components.flatMap((entry) =>
      isChosen(entry.component) && !entry.factor ? factorEntries(entry) : [entry],
    ),
    provenance: [...model.provenance, { step: FACTORIZE_STEP, detail: { method, budget } }],
  };
}

async function run(config: FactorizeConfig, context: StageContext): Promise<StageResult> {
  const { model: folder } = context;
  if (folder === undefined) throw invalid('stage.model', 'The factorize stage needs a model.');
  context.progress({ fraction: 0, phase: 'reading the model' });
  const bundle = await readBundle(folder);
  const before = bundle.manifest;
  const dataset = context.datasets.data ?? '';
  const data = await dataFor(config, context, bundle, folder);
  const originalBytes = (await bundleBytes(folder)).model;
  const options = { config, context: { ...context, dataset }, original: folder, originalBytes, data };
  const result = await factorizeBundle(bundle, options);
  const output = join(context.output, 'model');
  await writeBundle(output, result.bundle);
  const bytes = { before: originalBytes, after: (await bundleBytes(output)).model };
  return {
    model: 'model',
    ...factorizeReport(before, result, bytes),
    warnings: [...result.warnings, ...(data?.warnings ?? [])],
  };
}

/** The data set's texts, where the method or the training reads them. */
async function dataFor(
  config: FactorizeConfig,
  context: StageContext,
  bundle: Bundle,
  folder: string,
): Promise<TokenizedData | undefined> {
  if (config.method === 'svd' && config.epochs === 0) return undefined;
  const dataset = context.datasets.data;
  if (dataset === undefined) {
    throw invalid('factorize.data', 'Give a data set, or use method "svd" and no epochs.', { field: 'datasets.data' });
  }
  const info = await readDatasetInfo(dataset);
  requireTrainSplit(info);
  if (config.epochs > 0) requireLabels(bundle, info.labels);
  return tokenizeData({ ...context, dataset }, config, bundle, await loadTokenizer(folder), info);
}
