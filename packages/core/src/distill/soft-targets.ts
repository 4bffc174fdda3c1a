/** @file Learning from a teacher's logits: the loss and the batches that carry them. */
import { invalid } from '../errors';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import type { TaskLoss } from '../finetune/loss';
import { staticShape } from '../ops/shapes';

export interface SoftTargetOptions {
  /** Softens both distributions. */
  readonly temperature: number;
  /** Share of the teacher in the loss; the rest is the task's own loss. */
  readonly weight: number;
}

/** A teacher's logits of every row of the training split. */
export interface TeacherLogits {
  readonly classes: number;
  /** [classes]; not to be written to, and valid until the next call. */
  row(row: number): Float32Array;
}

/** One of several teachers: its logits, its share, and where the classes stand in its outputs. */
export interface WeightedLogits {
  readonly logits: TeacherLogits;
  readonly weight: number;
  readonly columns: readonly number[];
}

/** sum_i w_i logits_i / sum_i w_i: softened, the geometric mean of the teachers' probabilities. */
export function mixLogits(teachers: readonly WeightedLogits[]): TeacherLogits {
  const total = teachers.reduce((sum, { weight }) => sum + weight, 0);
  const classes = teachers[0].columns.length;
  const mixed = new Float32Array(classes);
  return {
    classes,
    row(row) {
      mixed.fill(0);
      for (const { logits, weight, columns } of teachers) {
        const own = logits.row(row);
        for (let c = 0; c < classes; c++) mixed[c] += (weight / total) * own[columns[c]];
      }
      return mixed;
    },
  };
}

/**
 * T^2 sum_r w_r KL(softmax(t_r / T) || softmax(s_r / T)) / sum_r w_r  (Hinton et al. 2015, arXiv:1503.02531).
 * @param student float32 [rows, classes] logits
 * @param teacher float32 [rows, classes] logits
 * @param weights float32 [rows]: 0 for rows that only fill up a batch
 */
export function softTargetLoss(
  build: GraphBuilder,
  student: Value,
  teacher: Value,
  weights: Value,
  temperature: number,
): Value {
  return build.scope('softTargets', () => {
    const logProbabilities = (logits: Value): Value =>
      build.op('LogSoftmax', [build.op('Mul', [logits, build.scalar(1 / temperature)])], { axis: -1 });
    const target = logProbabilities(teacher);
    const difference = build.op('Sub', [target, logProbabilities(student)]);
    const divergence = build.op(
      'ReduceSum',
      [build.op('Mul', [build.op('Exp', [target]), difference]), build.int64s([1])],
      { keepdims: 0 },
    );
    const sum = (value: Value): Value => build.op('ReduceSum', [value], { keepdims: 0 });
    const mean = build.op('Div', [sum(build.op('Mul', [divergence, weights])), sum(weights)]);
    return build.op('Mul', [mean, build.scalar(temperature ** 2)]);
  });
}

/**
 * (1 - weight) * task loss + weight * soft-target loss.
 * @throws invalid `distill.classes` when teacher and student tell apart different numbers of classes
 */
export function withSoftTargets(
  task: TaskLoss,
  output: string,
  teacher: TeacherLogits,
  { temperature, weight }: SoftTargetOptions,
): TaskLoss {
  const { classes } = teacher;
  return {
    loss(build, outputs) {
      const student = outputs.get(output)!;
      const [rows, width] = staticShape(student);
      if (width !== classes) {
        throw invalid('distill.classes', `The teacher tells apart ${classes} classes, the student ${width}.`);
      }
      const teacherInput = build.input('teacher', 'float32', [rows, classes]);
      const weights = build.input('teacherWeights', 'float32', [rows]);
      const soft = softTargetLoss(build, student, teacherInput, weights, temperature);
      if (weight === 1) return soft;
      const hard = task.loss(build, outputs);
      const scaled = (value: Value, factor: number): Value => build.op('Mul', [value, build.scalar(factor)]);
      return build.op('Add', [scaled(hard, 1 - weight), scaled(soft, weight)]);
    },
    training(batch, rows) {
      const own = weight === 1 ? { inputs: batch.inputs } : task.training(batch, rows);
      const data = new Float32Array(batch.weights.data.length * classes);
      batch.rows.forEach((row, i) => data.set(teacher.row(row), i * classes));
      const teacherTensor = { dtype: 'float32', dims: [batch.weights.data.length, classes], data } as const;
      return { inputs: { ...own.inputs, teacher: teacherTensor, teacherWeights: batch.weights } };
    },
  };
}
