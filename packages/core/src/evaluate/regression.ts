/** Figures of a regression; correlations are NaN where one side is constant. */
export interface RegressionScores {
  readonly pearson: number;
  readonly spearman: number;
  readonly mse: number;
  readonly mae: number;
}

export function scoreRegression(predicted: ArrayLike<number>, truth: ArrayLike<number>): RegressionScores {
  let squares = 0;
  let distances = 0;
  for (let i = 0; i < truth.length; i++) {
    squares += (predicted[i] - truth[i]) ** 2;
    distances += Math.abs(predicted[i] - truth[i]);
  }
  return {
    pearson: pearson(predicted, truth),
    spearman: pearson(ranks(predicted), ranks(truth)),
    mse: squares / truth.length,
    mae: distances / truth.length,
  };
}

/** Pearson's correlation: covariance over the product of the standard deviations. */
export function pearson(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const meanA = mean(a);
  const meanB = mean(b);
  let [products, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    products += (a[i] - meanA) * (b[i] - meanB);
    squaresA += (a[i] - meanA) ** 2;
    squaresB += (b[i] - meanB) ** 2;
  }
  return products / Math.sqrt(squaresA * squaresB);
}

/** Ranks from 1; equal values share the mean of their ranks. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const result = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let i = start; i < end; i++) result[order[i]] = (start + 1 + end) / 2;
    start = end;
  }
  return result;
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}
