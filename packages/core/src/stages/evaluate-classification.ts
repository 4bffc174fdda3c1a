/** @file Results of classifiers: figures with intervals, and the comparison with the original. */
import type { Predictions, Robustness } from '../evaluate';
import type { Measurement } from '../report/measurement';
import { classificationSections, robustnessSections } from './evaluate-report';
import { compare, FIGURES, score } from './evaluate-scoring';
import type { Compared, Figure, Resampling, Scored } from './evaluate-scoring';
import type { StageResult } from './stage';

/** What one classifier was asked. */
export interface Classified {
  readonly predictions: Predictions;
  /** Absent where it was not asked for. */
  readonly robustness?: Robustness;
}

export function classificationOutcome(
  candidate: Classified,
  baseline: Classified | undefined,
  warnings: readonly string[],
  split: string,
  options: Resampling,
): StageResult {
  const result = score(candidate.predictions, options);
  const original = baseline && score(baseline.predictions, options);
  const compared = original && compare(original, result, options);
  return {
    measurements: [
      ...modelMeasurements(result, 'candidate', split),
      ...(original ? modelMeasurements(original, 'baseline', split) : []),
      ...(compared ? comparisonMeasurements(compared, split) : []),
      ...robustnessMeasurements(candidate.robustness, 'candidate', split),
      ...robustnessMeasurements(baseline?.robustness, 'baseline', split),
    ],
    sections: [
      ...classificationSections(result, original, compared, split),
      ...robustnessSections(candidate.robustness, baseline?.robustness),
    ],
    warnings: [...warnings, ...dataWarnings(candidate.predictions)],
  };
}

function modelMeasurements(
  { scores, intervals }: Scored,
  subject: Measurement['subject'],
  split: string,
): Measurement[] {
  const context = { split };
  return (['accuracy', 'macroF1', 'microF1', 'mcc', 'ece', 'loss'] as const)
    .filter((metric) => Number.isFinite(scores[metric]))
    .map((metric) => ({
      metric,
      value: scores[metric],
      unit: metric === 'loss' || metric === 'mcc' ? '' : 'ratio',
      subject,
      context,
      ...(metric in intervals ? { interval: intervals[metric as Figure] } : {}),
    }));
}

function robustnessMeasurements(
  robustness: Robustness | undefined,
  subject: Measurement['subject'],
  split: string,
): Measurement[] {
  if (!robustness) return [];
  const figure = (metric: string, value: number): Measurement => {
    return { metric, value, unit: 'ratio', subject, context: { split, rows: robustness.rows } };
  };
  return [
    figure('robustness', robustness.retained),
    ...robustness.perturbed.map(({ perturbation, accuracy }) => figure(`robustness.${perturbation}`, accuracy)),
  ];
}

function comparisonMeasurements({ differences, pValue, fidelity }: Compared, split: string): Measurement[] {
  const figure = (metric: string, value: number, unit: string): Measurement => ({
    metric,
    value,
    unit,
    subject: 'comparison',
    context: { split },
  });
  return [
    ...(Object.keys(FIGURES) as Figure[]).map((name) => ({
      ...figure(`${name}.difference`, differences[name].difference, 'points'),
      interval: [...differences[name].interval] as [number, number],
    })),
    figure('accuracy.pValue', pValue, ''),
    ...(fidelity
      ? [
          figure('fidelity.labels', fidelity.labels, 'ratio'),
          figure('fidelity.probabilities', fidelity.probabilities, 'ratio'),
        ]
      : []),
  ];
}

/** Share of tokens outside the vocabulary above which a user should look at the tokenizer. */
const MANY_UNKNOWN = 0.05;

function dataWarnings({ tokens }: Predictions): string[] {
  const { rows, truncatedRows, unknownTokens, unseenLabels } = tokens;
  const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
  return [
    ...(unseenLabels.length > 0
      ? [`The data has labels that the model does not know, which always count as errors: ${unseenLabels.join(', ')}.`]
      : []),
    ...(truncatedRows > 0
      ? [`${share(truncatedRows, rows)} of the texts are longer than the model takes and were cut.`]
      : []),
    ...(unknownTokens > MANY_UNKNOWN * tokens.tokens
      ? [`${share(unknownTokens, tokens.tokens)} of the tokens are outside the vocabulary.`]
      : []),
  ];
}
