/** @file The distillation loss of a DAN, with its gradient. */

export interface DanTargets {
  /** The teacher's logits, [texts, classes]; absent when only labels teach. */
  readonly teacher?: Float32Array;
  /** Class of each text; -1 where it has none. */
  readonly labels: Int32Array;
}

export interface DanLossOptions {
  /** Softens both distributions. */
  readonly temperature: number;
  /** Share of the teacher; the rest is cross-entropy with the labels. */
  readonly weight: number;
}

/** What turns sums over texts into means over a batch. */
export interface BatchCounts {
  readonly texts: number;
  readonly labelled: number;
}

/**
 * weight T^2 mean KL(softmax(t / T) || softmax(s / T)) + (1 - weight) mean over labelled texts of cross-entropy,
 * summed over texts first .. first + rows of a batch.
 * @param logits [rows, stride], of which `classes` columns count
 * @param gradient written, same shape; columns beyond `classes` become 0
 * @returns these rows' part of the batch's loss
 */
export function danLoss(
  logits: Float32Array,
  classes: number,
  stride: number,
  targets: DanTargets,
  first: number,
  counts: BatchCounts,
  { temperature, weight }: DanLossOptions,
  gradient: Float32Array,
): number {
  const rows = logits.length / stride;
  const student = new Float64Array(classes);
  const teacher = new Float64Array(classes);
  const soft = targets.teacher ? weight : 0;
  const hard = 1 - soft;
  let loss = 0;
  gradient.fill(0);
  for (let row = 0; row < rows; row++) {
    const at = row * stride;
    if (targets.teacher && soft > 0) {
      const logSum = softmax(logits, at, classes, temperature, student);
      const from = (first + row) * classes;
      const teacherLogSum = softmax(targets.teacher, from, classes, temperature, teacher);
      for (let c = 0; c < classes; c++) {
        const difference =
          targets.teacher[from + c] / temperature - teacherLogSum - (logits[at + c] / temperature - logSum);
        loss += (soft * temperature ** 2 * teacher[c] * difference) / counts.texts;
        gradient[at + c] = (soft * temperature * (student[c] - teacher[c])) / counts.texts;
      }
    }
    const label = targets.labels[first + row];
    if (label < 0 || hard === 0) continue;
    const logSum = softmax(logits, at, classes, 1, student);
    loss += (hard * (logSum - logits[at + label])) / counts.labelled;
    for (let c = 0; c < classes; c++) {
      gradient[at + c] += (hard * (student[c] - (c === label ? 1 : 0))) / counts.labelled;
    }
  }
  return loss;
}

/** softmax(values / T) of one row into `out`. @returns log sum exp(values / T) */
function softmax(values: Float32Array, at: number, classes: number, temperature: number, out: Float64Array): number {
  let top = -Infinity;
  for (let c = 0; c < classes; c++) top = Math.max(top, values[at + c] / temperature);
  let sum = 0;
  for (let c = 0; c < classes; c++) {
    out[c] = Math.exp(values[at + c] / temperature - top);
    sum += out[c];
  }
  for (let c = 0; c < classes; c++) out[c] /= sum;
  return top + Math.log(sum);
}
