/** @file The quantize stage's training: data, loss and context around `trainQuantized`. */
import type { Bundle } from '../bundle';
import { invalid } from '../errors';
import { taskLoss } from '../finetune/loss';
import { lossOptions, requireTrainSplit, tokenizeData } from '../finetune/train-on';
import { trainQuantized } from '../quantize';
import type { Exclusions, QuantizedTraining, QuantizeMethod, QuantizeTraining } from '../quantize';
import { loadTokenizer, readDatasetInfo } from '../text';
import type { StageContext } from './stage';

export type TrainedForCodes = QuantizedTraining & { readonly warnings: readonly string[] };

/** @throws `quantize.train`, `finetune.*`, `train.*`, `cancelled` */
export async function trainForCodes(
  config: QuantizeTraining,
  exclude: Exclusions,
  bundle: Bundle,
  method: QuantizeMethod,
  context: StageContext,
): Promise<TrainedForCodes> {
  const { model, datasets } = context;
  if (model === undefined || datasets.data === undefined) {
    throw invalid('quantize.train', 'Training needs a model and a data set as "data".', { field: 'datasets.data' });
  }
  if (method.kind === 'fp16') throw invalid('quantize.train', 'Half precision needs no training.', { field: 'train' });
  const info = await readDatasetInfo(datasets.data);
  requireTrainSplit(info);
  const { manifest } = bundle;
  const own = {
    ...context,
    dataset: datasets.data,
    progress: ({ fraction, ...rest }: Parameters<StageContext['progress']>[0]) =>
      context.progress({ fraction: 0.25 + 0.45 * fraction, ...rest }),
  };
  const data = await tokenizeData(own, config, bundle, await loadTokenizer(model), info);
  const loss = taskLoss(manifest.task, manifest.output, lossOptions(config, data, bundle));
  const trained = await trainQuantized(config, own, bundle, data, loss, method, exclude);
  return { ...trained, warnings: data.warnings };
}
