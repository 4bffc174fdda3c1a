/** @file Attentive pooling in training: x = sum_i a_i e_i with a = softmax(e_i . q) over the n-grams of a text. */
import type { AdamwScalars } from '../train/kernels/kernels';
import type { AttentionGradients, DanTable, NgramBatch } from './table';

/** The query q and its AdamW moments. It starts at zero: as the mean. */
export class Attention {
  readonly query: Float32Array;
  private readonly first: Float32Array;
  private readonly second: Float32Array;

  /** @param width of the table */
  constructor(private readonly width: number) {
    [this.query, this.first, this.second] = [0, 1, 2].map(() => new Float32Array(width));
  }

  /** Query, then moments, for saving. */
  get state(): Float32Array[] {
    return [this.query, this.first, this.second];
  }

  pool(table: DanTable, batch: NgramBatch): { pooled: Float32Array; alphas: Float32Array } {
    const alphas = table.dots(batch, this.query);
    softmaxByText(alphas, batch);
    return { pooled: table.weigh(batch, alphas), alphas };
  }

  /**
   * With g the gradient of x: d/d(e_i . q) = b_i = a_i (e_i . g - x . g), so that e_i gets a_i g + b_i q, and q the sum of
   * b_i e_i. Moves q; what the rows need is returned.
   */
  backward(
    table: DanTable,
    batch: NgramBatch,
    { pooled, alphas }: { readonly pooled: Float32Array; readonly alphas: Float32Array },
    gradients: Float32Array,
    scalars: AdamwScalars,
  ): AttentionGradients {
    const { width } = this;
    const betas = table.dots(batch, gradients);
    for (let text = 0; text < batch.texts; text++) {
      let own = 0;
      for (let i = text * width; i < (text + 1) * width; i++) own += pooled[i] * gradients[i];
      for (let i = batch.offsets[text]; i < batch.offsets[text + 1]; i++) betas[i] = alphas[i] * (betas[i] - own);
    }
    const sums = table.weigh(batch, betas);
    const gradient = new Float32Array(width);
    for (let i = 0; i < sums.length; i++) gradient[i % width] += sums[i];
    const query = this.query.slice();
    this.update(gradient, scalars);
    return { query, alphas, betas };
  }

  /** The equations of assembly/kernels.ts. */
  private update(gradient: Float32Array, s: AdamwScalars): void {
    const { query, first, second } = this;
    for (let i = 0; i < query.length; i++) {
      first[i] += s.oneMinusBeta1 * (gradient[i] - first[i]);
      second[i] = s.beta2 * second[i] + s.oneMinusBeta2 * gradient[i] ** 2;
      query[i] = query[i] * s.keep - (s.stepSize * first[i]) / (Math.sqrt(second[i]) + s.epsilon);
    }
  }
}

function softmaxByText(values: Float32Array, { texts, offsets }: NgramBatch): void {
  for (let text = 0; text < texts; text++) {
    const own = values.subarray(offsets[text], offsets[text + 1]);
    const top = own.reduce((a, b) => Math.max(a, b), -Infinity);
    let sum = 0;
    for (let i = 0; i < own.length; i++) sum += own[i] = Math.exp(own[i] - top);
    for (let i = 0; i < own.length; i++) own[i] /= sum;
  }
}
