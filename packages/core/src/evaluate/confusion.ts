/** Counts of (true class, predicted class) pairs and what follows from them. Row-major [classes, classes], rows = truth. */
export class ConfusionMatrix {
  readonly counts: Uint32Array;
  readonly total: number;

  /** @param rows Row numbers to count, possibly repeated (a bootstrap sample); default: all, once. */
  constructor(
    truth: ArrayLike<number>,
    predicted: ArrayLike<number>,
    readonly classes: number,
    rows?: ArrayLike<number>,
  ) {
    this.counts = new Uint32Array(classes * classes);
    this.total = rows?.length ?? truth.length;
    for (let i = 0; i < this.total; i++) {
      const row = rows ? rows[i] : i;
      this.counts[truth[row] * classes + predicted[row]]++;
    }
  }

  at(truth: number, predicted: number): number {
    return this.counts[truth * this.classes + predicted];
  }

  /** Rows of a true class. */
  support(label: number): number {
    let sum = 0;
    for (let k = 0; k < this.classes; k++) sum += this.at(label, k);
    return sum;
  }

  /** Rows predicted as a class. */
  predicted(label: number): number {
    let sum = 0;
    for (let k = 0; k < this.classes; k++) sum += this.at(k, label);
    return sum;
  }

  get correct(): number {
    let sum = 0;
    for (let k = 0; k < this.classes; k++) sum += this.at(k, k);
    return sum;
  }
}

/** Quality of one class. A ratio with nothing below the line is 0. */
export interface ClassScores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly support: number;
}

export function classScores(matrix: ConfusionMatrix): ClassScores[] {
  return Array.from({ length: matrix.classes }, (_, label) => {
    const hits = matrix.at(label, label);
    const support = matrix.support(label);
    const predicted = matrix.predicted(label);
    return {
      precision: ratio(hits, predicted),
      recall: ratio(hits, support),
      f1: ratio(2 * hits, support + predicted),
      support,
    };
  });
}

export const accuracy = (matrix: ConfusionMatrix): number => ratio(matrix.correct, matrix.total);

/** Mean F1 over the classes that occur, in truth or predictions. */
export function macroF1(matrix: ConfusionMatrix): number {
  const occurring = classScores(matrix).filter(({ support }, label) => support + matrix.predicted(label) > 0);
  return ratio(
    occurring.reduce((sum, { f1 }) => sum + f1, 0),
    occurring.length,
  );
}

/**
 * Matthews' correlation for any number of classes (Gorodkin 2004, R_K): covariance of truth and prediction over the
 * root of the product of their variances; 0 where one of them is constant.
 */
export function matthewsCorrelation(matrix: ConfusionMatrix): number {
  const n = matrix.total;
  let products = 0;
  let truthSquares = 0;
  let predictedSquares = 0;
  for (let k = 0; k < matrix.classes; k++) {
    const [truth, predicted] = [matrix.support(k), matrix.predicted(k)];
    products += truth * predicted;
    truthSquares += truth * truth;
    predictedSquares += predicted * predicted;
  }
  const scale = Math.sqrt((n * n - truthSquares) * (n * n - predictedSquares));
  return ratio(matrix.correct * n - products, scale);
}

const ratio = (above: number, below: number): number => (below === 0 ? 0 : above / below);
