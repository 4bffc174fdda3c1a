/** @file Scores of one classifier and of two on the same rows, with their uncertainty. */
import { invalid } from '../errors';
import { bootstrapInterval, ConfusionMatrix, mcNemar, pairedBootstrap, scoreClassification } from '../evaluate';
import type { ClassificationResult, Predictions } from '../evaluate';
import { argmaxRows } from '../evaluate/classification';
import { accuracy, macroF1 } from '../evaluate/confusion';
import { fidelity } from '../evaluate/fidelity';
import type { Fidelity } from '../evaluate/fidelity';

/** The figures that get intervals. */
export const FIGURES = { accuracy, macroF1 } as const;
export type Figure = keyof typeof FIGURES;

/** One model's predictions, scored. */
export interface Scored extends ClassificationResult {
  readonly predictions: Predictions;
  /** Predicted class of each row. */
  readonly predicted: Uint32Array;
  readonly intervals: Readonly<Record<Figure, [number, number]>>;
}

/** The candidate against the original, on the same rows. */
export interface Compared {
  readonly differences: Readonly<
    Record<Figure, { readonly difference: number; readonly interval: readonly [number, number] }>
  >;
  /** McNemar's exact test of equal accuracy. */
  readonly pValue: number;
  /** Absent when the two models have other classes. */
  readonly fidelity: Fidelity | undefined;
}

export interface Resampling {
  readonly resamples: number;
  readonly seed: number;
}

/** @throws `evaluate.no-label` */
export function score(predictions: Predictions, options: Resampling): Scored {
  const { logits, outputs, labels } = predictions;
  if (labels.some(Number.isNaN)) {
    throw invalid('evaluate.no-label', 'A row of the split has no label, so accuracy cannot be computed.', {
      field: 'split',
    });
  }
  const result = scoreClassification({ logits, classes: outputs, labels });
  const predicted = argmaxRows(logits, outputs);
  const { classes } = result.confusion;
  const interval = (figure: Figure): [number, number] =>
    bootstrapInterval(
      labels.length,
      (rows) => FIGURES[figure](new ConfusionMatrix(labels, predicted, classes, rows)),
      options,
    );
  return {
    ...result,
    predictions,
    predicted,
    intervals: { accuracy: interval('accuracy'), macroF1: interval('macroF1') },
  };
}

export function compare(original: Scored, result: Scored, options: Resampling): Compared {
  const rows = result.predicted.length;
  const of = (scored: Scored, figure: Figure) => (sample: ArrayLike<number>) =>
    FIGURES[figure](new ConfusionMatrix(scored.predictions.labels, scored.predicted, scored.confusion.classes, sample));
  const difference = (figure: Figure) => pairedBootstrap(rows, of(original, figure), of(result, figure), options);
  const correct = ({ predicted, predictions: { labels } }: Scored): boolean[] =>
    Array.from(predicted, (label, row) => label === labels[row]);
  const [before, after] = [original.predictions, result.predictions];
  const sameClasses = String(before.labelNames) === String(after.labelNames) && before.outputs === after.outputs;
  return {
    differences: { accuracy: difference('accuracy'), macroF1: difference('macroF1') },
    pValue: mcNemar(correct(original), correct(result)).pValue,
    fidelity: sameClasses ? fidelity(before.logits, after.logits, after.outputs) : undefined,
  };
}
