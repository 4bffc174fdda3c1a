/** @file The pretrain stage: a language model from unlabelled text, within a budget. */
import { join } from 'node:path';
import { writeBundle } from '../bundle';
import { unsupported } from '../errors';
import { TRANSFORMER_ARCHITECTURES } from '../models/config';
import { pretrain, pretrainSchema } from '../pretrain';
import type { PretrainConfig, PretrainResult } from '../pretrain';
import type { Measurement, ReportSection } from '../report/measurement';
import type { CurvePoint } from '../train';
import { candidateFigure } from './candidate-figure';
import type { Estimate, Issue, StageDefinition, StagePreview } from './stage';

export const pretrainStage: StageDefinition<PretrainConfig> = {
  type: 'pretrain',
  version: 2,
  queue: 'distill',
  summary:
    'Train a language model (masked tokens, or the next token) on unlabelled text, for a number of epochs, steps, seconds or operations.',
  schema: pretrainSchema,
  needs: { model: 'optional', datasets: ['unlabelled'] },
  makesModel: true,
  onQuantized: ({ scratch }) => (scratch ? 'replaces' : { refuses: 'train the float model it was made from' }),
  check,
  estimate,
  async run(config, context) {
    const dataset = context.datasets.unlabelled;
    if (dataset === undefined)
      throw unsupported('pretrain.no-data', 'The stage needs text.', { field: 'datasets.unlabelled' });
    const result = await pretrain(config, { ...context, dataset });
    await writeBundle(join(context.output, 'model'), result.bundle);
    return {
      model: 'model',
      measurements: measurements(result),
      sections: sections(result),
      warnings: result.warnings,
    };
  },
};

function check({ scratch }: PretrainConfig, { model, datasets }: StagePreview): Issue[] {
  const issues: Issue[] = [];
  const text = datasets.unlabelled;
  if (text && !text.splits.train)
    issues.push({ path: '', code: 'no-train-split', message: `The data set "${text.name}" has no train split.` });
  if (!model) return issues;
  if (!model.tokenizer)
    issues.push({ path: '', code: 'no-tokenizer', message: 'The model has no tokenizer, so it cannot read texts.' });
  if (!scratch && !TRANSFORMER_ARCHITECTURES.some((name) => name === model.architecture)) {
    const message = `A ${model.architecture} model cannot be a language model.`;
    issues.push({ path: 'scratch', code: 'no-language-model', message });
  }
  return issues;
}

function estimate({ budget }: PretrainConfig): Estimate {
  return 'seconds' in budget ? { seconds: budget.seconds, notes: [] } : { notes: [] };
}

function measurements({ bundle, training, heldOutLoss, heldOutTokens, epochs }: PretrainResult): Measurement[] {
  const heldOut = { split: 'held-out', tokens: heldOutTokens };
  return [
    candidateFigure('perplexity', Math.exp(heldOutLoss), '', heldOut),
    candidateFigure('loss', heldOutLoss, '', heldOut),
    candidateFigure('parameters.total', bundle.manifest.parameters.total, 'count'),
    candidateFigure('train.seconds', training.seconds, 's'),
    candidateFigure('train.flops', training.flops, 'flops'),
    candidateFigure('train.steps', training.steps, 'count'),
    candidateFigure('train.epochs', epochs, 'count'),
  ];
}

/** Held-out perplexity along each budget, so that models of several sizes can be laid over each other. */
function sections({ bundle, training }: PretrainResult): ReportSection[] {
  const curve = (title: string, x: string, y: string, points: [number, number][]): ReportSection => {
    return { kind: 'curve', title, x, y, series: [{ name: bundle.manifest.name, points }], marks: [] };
  };
  const along = (unit: (point: CurvePoint) => number): [number, number][] =>
    training.scores.map((point) => [unit(point), Math.exp(point.value)]);
  const title = 'Perplexity on held-out text';
  return [
    curve(
      `${title} by time`,
      'seconds',
      'perplexity',
      along(({ seconds }) => seconds),
    ),
    curve(
      `${title} by step`,
      'step',
      'perplexity',
      along(({ steps }) => steps),
    ),
    curve(
      `${title} by work`,
      'FLOPs',
      'perplexity',
      along(({ flops }) => flops),
    ),
    curve(
      'Training loss',
      'step',
      'loss',
      training.losses.map(({ steps, value }) => [steps, value]),
    ),
  ];
}
