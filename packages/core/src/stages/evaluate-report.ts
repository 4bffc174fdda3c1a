/** @file What the evaluate stage shows of a classifier. */
import type { Robustness } from '../evaluate';
import { formatValue, metricName } from '../report/format';
import type { ReportSection } from '../report/measurement';
import { FIGURES } from './evaluate-scoring';
import type { Compared, Figure, Scored } from './evaluate-scoring';

/** More classes than this make a matrix that nobody can read; the mistakes table remains. */
const MATRIX_CLASSES = 40;
const MISTAKES = 10;

export function classificationSections(
  result: Scored,
  original: Scored | undefined,
  compared: Compared | undefined,
  split: string,
): ReportSection[] {
  const mistakes = mistakesTable(result);
  return [
    figuresTable(result, original, compared, split),
    classTable(result, original),
    ...(result.confusion.classes <= MATRIX_CLASSES ? [matrix(result)] : []),
    ...(mistakes.kind === 'table' && mistakes.rows.length > 0 ? [mistakes] : []),
  ];
}

const ratio = (value: number): string => formatValue(value, 'ratio');
const percent = ([low, high]: readonly [number, number]): string =>
  `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`;

function figuresTable(
  result: Scored,
  original: Scored | undefined,
  compared: Compared | undefined,
  split: string,
): ReportSection {
  const figures = Object.keys(FIGURES) as Figure[];
  const { fidelity, pValue } = compared ?? {};
  const loyalty = fidelity
    ? ` The result predicts the same class as the original on ${ratio(fidelity.labels)} of the rows; loyalty of the probabilities ${ratio(fidelity.probabilities)}.`
    : '';
  const test = pValue === undefined ? '' : ` McNemar’s test of equal accuracy: p = ${pValue.toPrecision(2)}.`;
  return {
    kind: 'table',
    title: `Quality on the ${split} split`,
    columns: ['Figure', 'Original', 'Result', '95 % interval', 'Change', '95 % interval of the change'],
    rows: [
      ...figures.map((name) => [
        metricName(name),
        original ? ratio(original.scores[name]) : null,
        ratio(result.scores[name]),
        percent(result.intervals[name]),
        compared ? signed(compared.differences[name].difference) : null,
        compared ? percent(compared.differences[name].interval) : null,
      ]),
      ['Matthews correlation', original?.scores.mcc.toFixed(4) ?? null, result.scores.mcc.toFixed(4), null, null, null],
      ['Calibration error', original ? ratio(original.scores.ece) : null, ratio(result.scores.ece), null, null, null],
      ['Loss', original?.scores.loss.toFixed(4) ?? null, result.scores.loss.toFixed(4), null, null, null],
    ],
    note: `${result.predicted.length} rows; bootstrap intervals, of the change paired by row.${test}${loyalty}`,
  };
}

const signed = (value: number): string => `${value < 0 ? '−' : '+'}${formatValue(Math.abs(value), 'points')}`;

function classTable({ perClass, predictions }: Scored, original: Scored | undefined): ReportSection {
  return {
    kind: 'table',
    title: 'By class',
    columns: ['Class', 'Rows', 'Precision', 'Recall', 'F1', 'F1 of the original'],
    rows: perClass.map(({ support, precision, recall, f1 }, label) => {
      const name = predictions.labelNames[label];
      const before = original?.perClass[original.predictions.labelNames.indexOf(name)];
      return [name, support, ratio(precision), ratio(recall), ratio(f1), before ? ratio(before.f1) : null];
    }),
  };
}

function matrix({ confusion, predictions: { labelNames } }: Scored): ReportSection {
  const classes = Array.from({ length: confusion.classes }, (_, label) => label);
  const names = classes.map((label) => labelNames[label]);
  return {
    kind: 'heatmap',
    title: 'Confusions (row: true class, column: predicted)',
    rows: names,
    columns: names,
    values: classes.map((truth) => classes.map((predicted) => confusion.at(truth, predicted))),
    unit: 'count',
  };
}

/** The most frequent pairs of true and wrongly predicted class. */
function mistakesTable({ confusion, predictions: { labelNames } }: Scored): ReportSection {
  const classes = Array.from({ length: confusion.classes }, (_, label) => label);
  const pairs = classes
    .flatMap((truth) => classes.map((predicted) => ({ truth, predicted, count: confusion.at(truth, predicted) })))
    .filter(({ truth, predicted, count }) => truth !== predicted && count > 0)
    .sort((a, b) => b.count - a.count);
  return {
    kind: 'table',
    title: 'Most frequent mistakes',
    columns: ['True class', 'Predicted', 'Rows'],
    rows: pairs
      .slice(0, MISTAKES)
      .map(({ truth, predicted, count }) => [labelNames[truth], labelNames[predicted], count]),
  };
}

/** Accuracy of both models on changed texts, the same texts for both. */
export function robustnessSections(result: Robustness | undefined, original: Robustness | undefined): ReportSection[] {
  if (!result) return [];
  const kept = (accuracy: number, { clean }: Robustness): string | null =>
    clean === 0 ? null : ratio(accuracy / clean);
  const spread = (accuracies: readonly number[]): string | null =>
    accuracies.length < 2 ? null : `${ratio(Math.min(...accuracies))} to ${ratio(Math.max(...accuracies))}`;
  return [
    {
      kind: 'table',
      title: 'Robustness',
      columns: ['Texts', 'Original', 'Result', 'Kept by the original', 'Kept by the result', 'Result over seeds'],
      rows: [
        ['as they are', original ? ratio(original.clean) : null, ratio(result.clean), null, null, null],
        ...result.perturbed.map(({ perturbation, accuracy, accuracies }, i) => {
          const before = original?.perturbed[i]?.accuracy;
          return [
            perturbation,
            before === undefined ? null : ratio(before),
            ratio(accuracy),
            original && before !== undefined ? kept(before, original) : null,
            kept(accuracy, result),
            spread(accuracies),
          ];
        }),
      ],
      note: `Accuracy on ${result.rows} rows, the same changed texts for both models.`,
    },
  ];
}
