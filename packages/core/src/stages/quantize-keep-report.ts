/** @file What the quantize stage tells of the versions that it tried to keep the accuracy. */
import { formatBytes, formatNumber, formatValue, metricName } from '../report/format';
import type { ReportSection } from '../report/measurement';
import type { Trial } from '../sensitivity/fallback';
import { isShare } from '../evaluate';
import type { Kept } from './quantize-keep';

const STEPS: Record<Trial['step'], string> = {
  everything: 'everything quantized',
  'one alone': 'one more left float, to rank',
  'worst added': 'the worst left float too',
  'given back': 'quantized again',
};

const figure = (metric: string, value: number): string =>
  isShare(metric) ? formatValue(value, 'ratio') : formatNumber(value);
const difference = (metric: string, value: number): string =>
  (isShare(metric) ? formatValue(value, 'points') : formatNumber(value)).replace('-', '−');

/** One row for each version, in the order in which they were tried. */
export function keepSections({ trials, best, metric, original, limit, rows, split, stopped }: Kept): ReportSection[] {
  const outcome = best.holds
    ? `Version ${trials.indexOf(best) + 1} is the smallest that holds.`
    : `None holds (${stopped}); version ${trials.indexOf(best) + 1} drops least and was taken.`;
  return [
    {
      kind: 'table',
      title: 'Versions tried to keep the accuracy',
      columns: [
        'Version',
        'Step',
        'Left float',
        metricName(metric),
        'Drop',
        'KL, 0.001 nat',
        'Weights',
        'Within the limit',
      ],
      rows: trials.map((trial, i) => [
        `${i + 1}${trial === best ? ' ★' : ''}`,
        STEPS[trial.step],
        trial.reverted.join(', ') || 'nothing',
        figure(metric, trial.figure),
        difference(metric, trial.drop),
        formatNumber(1000 * trial.divergence),
        formatBytes(trial.bytes),
        trial.holds ? 'yes' : 'no',
      ]),
      note: `${rows} rows of the ${split} split; the model before it has ${figure(metric, original)}, and may lose ${difference(metric, limit)}. ${outcome}`,
    },
  ];
}

export function keepWarnings({ best, metric, limit, split, stopped }: Kept): string[] {
  return [
    ...(split === 'train'
      ? [
          'The data set has no dev split: the loss of accuracy was measured on training rows, which flatters the result.',
        ]
      : []),
    ...(best.holds
      ? []
      : [
          `${metricName(metric)} drops by ${difference(metric, best.drop)} on the ${split} split, more than the ${difference(metric, limit)} allowed (${stopped}): the best version so far was taken.`,
        ]),
  ];
}
