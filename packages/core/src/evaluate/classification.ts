import { accuracy, classScores, ConfusionMatrix, macroF1, matthewsCorrelation } from './confusion';
import type { ClassScores } from './confusion';
import { expectedCalibrationError } from './calibration';

/** Logits of a classifier and the true classes. */
export interface ClassifiedRows {
  /** [rows, classes], row-major. */
  readonly logits: Float32Array;
  readonly classes: number;
  /** True class of each row; one that the model does not have (`classes` or above) always counts as an error. */
  readonly labels: ArrayLike<number>;
}

/** Figures of a classifier, each in 0..1 but `mcc` (-1..1) and `loss`. */
export interface ClassificationScores {
  readonly accuracy: number;
  readonly macroF1: number;
  /** Equal to accuracy where every row has one class; given because reports ask for it. */
  readonly microF1: number;
  readonly mcc: number;
  readonly ece: number;
  /** Mean cross entropy of rows whose class the model has, in nats. */
  readonly loss: number;
}

export interface ClassificationResult {
  readonly scores: ClassificationScores;
  readonly perClass: readonly ClassScores[];
  readonly confusion: ConfusionMatrix;
}

/** Scores a classifier's logits. */
export function scoreClassification(rows: ClassifiedRows): ClassificationResult {
  const { labels } = rows;
  const predicted = argmaxRows(rows.logits, rows.classes);
  const probabilities = softmaxRows(rows.logits, rows.classes);
  const confusion = new ConfusionMatrix(labels, predicted, countClasses(rows));
  const scores = {
    accuracy: accuracy(confusion),
    macroF1: macroF1(confusion),
    microF1: accuracy(confusion),
    mcc: matthewsCorrelation(confusion),
    ece: expectedCalibrationError(probabilities, rows.classes, labels),
    loss: crossEntropy(probabilities, rows.classes, labels),
  };
  return { scores, perClass: classScores(confusion), confusion };
}

/** Classes of the model, and those that only the labels have. */
export function countClasses({ classes, labels }: ClassifiedRows): number {
  let most = classes;
  for (let i = 0; i < labels.length; i++) if (labels[i] >= most) most = labels[i] + 1;
  return most;
}

/** Index of the largest value of each row; the first of equals. */
export function argmaxRows(values: Float32Array, columns: number): Uint32Array {
  return Uint32Array.from({ length: values.length / columns }, (_, row) => {
    let best = row * columns;
    for (let i = best + 1; i < (row + 1) * columns; i++) if (values[i] > values[best]) best = i;
    return best - row * columns;
  });
}

/** Softmax of each row. */
export function softmaxRows(logits: Float32Array, columns: number): Float64Array {
  const probabilities = Float64Array.from(logits);
  for (let start = 0; start < logits.length; start += columns) {
    const row = probabilities.subarray(start, start + columns);
    const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += row[i] = Math.exp(row[i] - top);
    for (let i = 0; i < columns; i++) row[i] /= sum;
  }
  return probabilities;
}

function crossEntropy(probabilities: Float64Array, classes: number, labels: ArrayLike<number>): number {
  let sum = 0;
  let rows = 0;
  for (let row = 0; row < labels.length; row++) {
    if (labels[row] >= classes) continue;
    sum -= Math.log(Math.max(probabilities[row * classes + labels[row]], Number.MIN_VALUE));
    rows++;
  }
  return rows === 0 ? Number.NaN : sum / rows;
}
