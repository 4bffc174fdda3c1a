/** @file Stage `finetune`: train a model on labelled data. */
import { join } from 'node:path';
import { writeBundle } from '../bundle';
import { unsupported } from '../errors';
import { finetunedManifest, finetuneIssues } from '../finetune/check';
import { finetuneSchema } from '../finetune/config';
import type { FinetuneConfig } from '../finetune/config';
import { finetune } from '../finetune/finetune';
import type { FinetuneResult } from '../finetune/finetune';
import type { Measurement, ReportSection } from '../report/measurement';
import { candidateFigure } from './candidate-figure';
import type { StageDefinition } from './stage';

export const finetuneStage: StageDefinition<FinetuneConfig> = {
  type: 'finetune',
  version: 2,
  queue: 'distill',
  summary:
    'Train a model on labelled data: all weights, LoRA, adapters or a prefix; from a checkpoint or from scratch.',
  schema: finetuneSchema,
  needs: { model: 'optional', datasets: ['data'] },
  makesModel: true,
  onQuantized: ({ scratch }) =>
    scratch ? 'replaces' : { refuses: 'fine-tune the float model it was made from, then quantize' },
  check: finetuneIssues,
  outcome: finetunedManifest,
  async run(config, context) {
    const dataset = context.datasets.data;
    if (dataset === undefined)
      throw unsupported('finetune.no-data', 'The stage needs a data set.', { field: 'datasets.data' });
    const result = await finetune(config, { ...context, dataset });
    const output = join(context.output, 'model');
    await writeBundle(output, result.bundle);
    return {
      model: 'model',
      measurements: measurements(result),
      sections: sections(result),
      warnings: result.warnings,
    };
  },
};

function measurements({ dev, bundle, trainableParameters, seconds, training }: FinetuneResult): Measurement[] {
  return [
    ...Object.entries(dev ?? {}).map(([metric, value]) => candidateFigure(metric, value, 'ratio', { split: 'dev' })),
    candidateFigure('parameters.total', bundle.manifest.parameters.total, 'count'),
    candidateFigure('parameters.trainable', trainableParameters, 'count'),
    candidateFigure('train.seconds', seconds, 's'),
    candidateFigure('train.steps', training.steps, 'count'),
  ];
}

function sections({ lossCurve, scoreCurve, metric, training }: FinetuneResult): ReportSection[] {
  const curve = (title: string, x: string, y: string, points: FinetuneResult['lossCurve']): ReportSection => ({
    kind: 'curve',
    title,
    x,
    y,
    series: [{ name: y, points: points.map(([at, value]) => [at, value]) }],
    marks: [],
  });
  const stopped = training.stoppedEarly ? ' (stopped early)' : '';
  return [
    curve(`Training loss${stopped}`, 'step', 'loss', lossCurve),
    ...(scoreCurve.length > 0 ? [curve('Score on the dev split', 'epoch', metric, scoreCurve)] : []),
  ];
}
