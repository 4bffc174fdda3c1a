/** @file Stage `share`: one matrix for several layers, or codes into small tables of values. */
import { join } from 'node:path';
import { bundleBytes, readBundle, writeBundle } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import type { CodebookEntry } from '../bundle/manifest';
import { invalid } from '../errors';
import { sizeOfComponent } from '../factorize/estimate';
import { requireLabels } from '../finetune/recovery';
import { requireTrainSplit, tokenizeData } from '../finetune/train-on';
import type { TokenizedData } from '../finetune/train-on';
import { estimateShare, shareIssues } from '../share/check';
import { shareSchema } from '../share/config';
import type { ShareConfig } from '../share/config';
import { codebookNames } from '../share/decode';
import { layerGroups } from '../share/layers';
import { shareBundle, SHARE_STEP } from '../share/run';
import { loadTokenizer, readDatasetInfo } from '../text';
import { shareReport } from './share-report';
import type { StageContext, StageDefinition, StageResult } from './stage';

export const shareStage: StageDefinition<ShareConfig> = {
  type: 'share',
  version: 3,
  queue: 'prune',
  summary: 'Let layers use one matrix, or store weights as codes into small tables of values, then recover.',
  schema: shareSchema,
  needs: { model: true, datasets: [], optionalDatasets: ['data'] },
  makesModel: true,
  measures: () => ({ bytes: true }),
  onQuantized: () => ({ refuses: 'share weights of the float model it was made from, then quantize' }),
  check: shareIssues,
  outcome,
  estimate: estimateShare,
  run,
};

/** The model as later checks will see it: which weights are codes or shared. */
function outcome({ share }: ShareConfig, model: Manifest): Manifest {
  const provenance = [...model.provenance, { step: SHARE_STEP, detail: { type: share.type } }];
  const isChosen = (component: string): boolean => share.components.some((chosen) => chosen === component);
  const { structure } = model;
  if (!structure) return { ...model, provenance };
  if (share.type === 'codebooks') {
    const coded = model.components.filter(({ component }) => isChosen(component));
    const codebooks = coded.map((entry): CodebookEntry => {
      const dims = sizeOfComponent(entry, structure);
      return { ...entry, dims, bits: share.bits, ...codebookNames(entry.weight) };
    });
    const components = model.components.filter(({ component }) => !isChosen(component));
    return { ...model, components, codebooks: [...(model.codebooks ?? []), ...codebooks], provenance };
  }
  const groups = layerGroups(share.groups, structure.layers.length);
  const components = model.components.map((entry) => {
    const group = groups.find((layers) => entry.layer !== undefined && layers.includes(entry.layer));
    const first = group && model.components.find((e) => e.component === entry.component && e.layer === group[0]);
    return first && isChosen(entry.component) ? { ...entry, weight: first.weight } : entry;
  });
  return { ...model, components, provenance };
}

async function run(config: ShareConfig, context: StageContext): Promise<StageResult> {
  const { model: folder } = context;
  if (folder === undefined) throw invalid('stage.model', 'The share stage needs a model.');
  context.progress({ fraction: 0, phase: 'reading the model' });
  const bundle = await readBundle(folder);
  const before = bundle.manifest;
  const data = await dataFor(config, context, bundle, folder);
  const dataset = context.datasets.data ?? '';
  const result = await shareBundle(bundle, { config, context: { ...context, dataset }, original: folder, data });
  const output = join(context.output, 'model');
  await writeBundle(output, result.bundle);
  const bytes = { before: (await bundleBytes(folder)).model, after: (await bundleBytes(output)).model };
  return { model: 'model', ...shareReport(before, result, bytes), warnings: data?.warnings ?? [] };
}

/** The data set's texts, where there is training. */
async function dataFor(
  config: ShareConfig,
  context: StageContext,
  bundle: Bundle,
  folder: string,
): Promise<TokenizedData | undefined> {
  if (config.epochs === 0) return undefined;
  const dataset = context.datasets.data;
  if (dataset === undefined) {
    throw invalid('share.data', 'Recovery training needs a data set; set epochs to 0 for none.', {
      field: 'datasets.data',
    });
  }
  const info = await readDatasetInfo(dataset);
  requireTrainSplit(info);
  requireLabels(bundle, info.labels);
  return tokenizeData({ ...context, dataset }, config, bundle, await loadTokenizer(folder), info);
}
