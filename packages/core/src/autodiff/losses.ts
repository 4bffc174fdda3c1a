/** @file Losses as graph fragments for opset 18 and later. Each returns a float32 scalar. */
import { invalid } from '../errors';
import { Tensor, sameShape, sizeOf } from '../graph';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { staticShape } from '../ops/shapes';

const mul = (build: GraphBuilder, a: Value, b: Value | number): Value =>
  build.op('Mul', [a, typeof b === 'number' ? build.scalar(b) : b]);

const sumAll = (build: GraphBuilder, x: Value): Value => build.op('ReduceSum', [x], { keepdims: 0 });

/** [rows, columns] of a matrix. */
function matrixShape(value: Value): readonly number[] {
  const dims = staticShape(value);
  if (dims.length !== 2) throw invalid('loss.shape', `"${value}" must be a matrix [rows, columns].`);
  return dims;
}

function requireSameShape(a: Value, b: Value): void {
  if (!sameShape(staticShape(a), staticShape(b))) throw invalid('loss.shape', `"${a}" and "${b}" must have one shape.`);
}

export interface CrossEntropyOptions {
  /** Share of the target that is spread evenly over all classes (Szegedy et al. 2015, arXiv:1512.00567); default 0. */
  readonly labelSmoothing?: number;
  /** Rows with this label do not count; default -100. */
  readonly ignoreLabel?: number;
  /** Weight of each class. */
  readonly classWeights?: readonly number[];
}

/**
 * Cross-entropy with integer labels. With u = log sum exp z, class weights w, their mean W, and smoothing s, a row is
 *   (1 - s) w[label] (u - z[label]) + s (W u - w.z / classes)
 * and the loss is the sum over rows whose label is not ignored, divided by the sum of their w[label]; 0 without any.
 * @param logits float32 [rows, classes]
 * @param labels int64 [rows]
 */
export function crossEntropy(
  build: GraphBuilder,
  logits: Value,
  labels: Value,
  options: CrossEntropyOptions = {},
): Value {
  const { labelSmoothing = 0, ignoreLabel = -100, classWeights } = options;
  const [rows, classes] = matrixShape(logits);
  if (labels.dtype !== 'int64' || labels.shape?.length !== 1 || labels.shape[0] !== rows) {
    throw invalid('loss.labels', `The labels must be int64[${rows}], not "${labels}".`);
  }
  if (classWeights && classWeights.length !== classes) {
    throw invalid('loss.class-weights', `${classWeights.length} class weights were given for ${classes} classes.`);
  }
  return build.scope('crossEntropy', () => {
    const isIgnored = build.op('Equal', [labels, build.scalar(ignoreLabel, 'int64')]);
    const counted = build.op('Where', [isIgnored, build.scalar(0), build.scalar(1)]);
    const label = build.op('Where', [isIgnored, build.scalar(0, 'int64'), labels]);
    const column = build.op('Unsqueeze', [label, build.int64s([1])]);
    const picked = build.op('Squeeze', [build.op('GatherElements', [logits, column], { axis: 1 }), build.int64s([1])]);
    const total = build.op('ReduceLogSumExp', [logits, build.int64s([1])], { keepdims: 0 });
    const table = classWeights && build.constant(Tensor.float32([classes], classWeights), 'classWeights');
    const weights = table ? mul(build, counted, build.op('Gather', [table, label])) : counted;
    const hard = mul(build, build.op('Sub', [total, picked]), weights);
    const divisor = build.op('Max', [sumAll(build, weights), build.scalar(1e-12)]);
    if (labelSmoothing === 0) return build.op('Div', [sumAll(build, hard), divisor]);

    const all = classWeights ?? Array<number>(classes).fill(1);
    const share = build.constant(
      Tensor.float32(
        [classes],
        all.map((weight) => weight / classes),
      ),
      'share',
    );
    const meanWeight = all.reduce((sum, weight) => sum + weight / classes, 0);
    const soft = build.op('Sub', [mul(build, total, meanWeight), build.op('MatMul', [logits, share])]);
    const smoothed = build.op('Add', [
      mul(build, hard, 1 - labelSmoothing),
      mul(build, mul(build, soft, counted), labelSmoothing),
    ]);
    return build.op('Div', [sumAll(build, smoothed), divisor]);
  });
}

/**
 * Distillation loss T^2 KL(softmax(teacher / T) || softmax(student / T)), the mean over rows (Hinton et al. 2015,
 * arXiv:1503.02531, section 2: the factor keeps gradients comparable across temperatures).
 * @param student float32 [rows, classes] logits
 * @param teacher float32 [rows, classes] logits
 */
export function klDivergence(build: GraphBuilder, student: Value, teacher: Value, temperature = 1): Value {
  const [rows] = matrixShape(student);
  requireSameShape(student, teacher);
  return build.scope('klDivergence', () => {
    const logarithm = (logits: Value): Value => {
      const softened = temperature === 1 ? logits : mul(build, logits, 1 / temperature);
      return build.op('LogSoftmax', [softened], { axis: -1 });
    };
    const target = logarithm(teacher);
    const difference = build.op('Sub', [target, logarithm(student)]);
    const divergence = sumAll(build, mul(build, build.op('Exp', [target]), difference));
    return mul(build, divergence, temperature ** 2 / rows);
  });
}

/**
 * Mean of (a - b)^2 over all elements.
 * @param a float32, any shape
 * @param b float32, the same shape
 */
export function meanSquaredError(build: GraphBuilder, a: Value, b: Value): Value {
  requireSameShape(a, b);
  return build.scope('meanSquaredError', () => {
    const squares = build.op('ReduceSumSquare', [build.op('Sub', [a, b])], { keepdims: 0 });
    return mul(build, squares, 1 / sizeOf(staticShape(a)));
  });
}

/**
 * Mean over rows of 1 - cos(a, b), the cosine taken along the last axis.
 * @param a float32 [..., width]
 * @param b float32, the same shape
 */
export function cosineDistance(build: GraphBuilder, a: Value, b: Value): Value {
  requireSameShape(a, b);
  const dims = staticShape(a);
  const rows = sizeOf(dims.slice(0, -1));
  return build.scope('cosineDistance', () => {
    const length = (x: Value): Value => build.op('ReduceL2', [x, build.int64s([-1])], { keepdims: 0 });
    const lengths = build.op('Max', [mul(build, length(a), length(b)), build.scalar(1e-12)]);
    const cosines = build.op('Div', [
      build.op('ReduceSum', [mul(build, a, b), build.int64s([-1])], { keepdims: 0 }),
      lengths,
    ]);
    return build.op('Sub', [build.scalar(1), mul(build, sumAll(build, cosines), 1 / rows)]);
  });
}

/**
 * Mean over all elements of the cross-entropy of sigmoid(logits) with targets in [0, 1]: softplus(z) - t z.
 * @param logits float32, any shape
 * @param targets float32, the same shape
 */
export function binaryCrossEntropy(build: GraphBuilder, logits: Value, targets: Value): Value {
  requireSameShape(logits, targets);
  return build.scope('binaryCrossEntropy', () => {
    const elements = build.op('Sub', [build.op('Softplus', [logits]), mul(build, targets, logits)]);
    return mul(build, sumAll(build, elements), 1 / sizeOf(staticShape(logits)));
  });
}
