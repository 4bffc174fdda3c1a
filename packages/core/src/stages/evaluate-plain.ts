/** @file Results of tasks whose figures are single numbers: regression and language modelling. */
import { formatChange, formatNumber, metricName } from '../report/format';
import type { Measurement } from '../report/measurement';
import type { StageResult } from './stage';

type Scores = Readonly<Record<string, number>>;

/** Figures that cannot be computed (a correlation with a constant) are left out. */
export function plainOutcome(
  candidate: Scores,
  baseline: Scores | undefined,
  warnings: readonly string[],
  split: string,
): StageResult {
  const measurements = (scores: Scores, subject: Measurement['subject']): Measurement[] =>
    Object.entries(scores)
      .filter(([, value]) => Number.isFinite(value))
      .map(([metric, value]) => ({ metric, value, unit: '', subject, context: { split } }));
  const rows = Object.entries(candidate).map(([metric, value]) => {
    const before = baseline?.[metric];
    return [
      metricName(metric),
      before === undefined ? null : formatNumber(before),
      formatNumber(value),
      before === undefined ? null : formatChange(before, value, ''),
    ];
  });
  return {
    measurements: [...measurements(candidate, 'candidate'), ...(baseline ? measurements(baseline, 'baseline') : [])],
    sections: [
      {
        kind: 'table',
        title: `Quality on the ${split} split`,
        columns: ['Figure', 'Original', 'Result', 'Change'],
        rows,
      },
    ],
    warnings,
  };
}
