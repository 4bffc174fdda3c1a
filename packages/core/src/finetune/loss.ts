/** @file Training losses by task, with the inputs they read. */
import { crossEntropy } from '../autodiff';
import type { Task } from '../bundle/manifest';
import { unsupported } from '../errors';
import type { Value } from '../graph';
import { staticShape } from '../ops/shapes';
import type { HostTensor } from '../runtime/runtime';
import type { Batch, TokenRows } from '../text';
import type { ProgramOptions } from '../train/program';
import type { TrainingBatch } from '../train/trainer';

/** Label of rows that fill up a batch and of tokens that are not predicted. */
const IGNORED = -100;

export interface LossOptions {
  readonly labelSmoothing: number;
  /** By class. */
  readonly classWeights?: readonly number[];
}

/** A loss and the batches it can read. */
export interface TaskLoss {
  readonly loss: ProgramOptions['loss'];
  /** The batch with the loss's own inputs. */
  training(batch: Batch, rows: TokenRows): TrainingBatch;
}

/**
 * Classification: cross-entropy. Regression: mean squared error over real rows. Causal language modelling:
 * cross-entropy of each token given those before it; with a pair, of the second text's tokens only.
 */
export function taskLoss(task: Task, output: string, options: LossOptions): TaskLoss {
  switch (task) {
    case 'classification':
    case 'pair-classification':
      return { loss: classLoss(output, options), training: withClassLabels };
    case 'regression':
      return { loss: valueLoss(output), training: withValues };
    case 'causal-lm':
      return { loss: nextTokenLoss(output), training: withNextTokens };
    case 'masked-lm':
    case 'embedding':
      throw unsupported('finetune.task', `A ${task} model cannot be fine-tuned on labels.`, { field: 'task' });
  }
}

const required = (outputs: ReadonlyMap<string, Value>, name: string): Value => {
  const value = outputs.get(name);
  if (!value) throw unsupported('finetune.output', `The model has no output "${name}".`);
  return value;
};

const classLoss =
  (output: string, options: LossOptions): ProgramOptions['loss'] =>
  (build, outputs) => {
    const logits = required(outputs, output);
    const labels = build.input('labels', 'int64', [staticShape(logits)[0]]);
    return crossEntropy(build, logits, labels, { ...options, ignoreLabel: IGNORED });
  };

function withClassLabels({ inputs, labels, weights }: Batch): TrainingBatch {
  const ids = labels!.data as BigInt64Array;
  const counted = ids.map((id, row) => (weights.data[row] === 0 ? BigInt(IGNORED) : id));
  return { inputs: { ...inputs, labels: { ...labels!, data: counted } } };
}

/** sum w (y - t)^2 / sum w */
const valueLoss =
  (output: string): ProgramOptions['loss'] =>
  (build, outputs) => {
    const predictions = required(outputs, output);
    const rows = staticShape(predictions)[0];
    const targets = build.input('labels', 'float32', [rows]);
    const weights = build.input('weights', 'float32', [rows]);
    const flat = build.op('Reshape', [predictions, build.int64s([rows])]);
    const difference = build.op('Sub', [flat, targets]);
    const weighted = build.op('Mul', [build.op('Mul', [difference, difference]), weights]);
    const sum = (value: Value): Value => build.op('ReduceSum', [value], { keepdims: 0 });
    return build.op('Div', [sum(weighted), sum(weights)]);
  };

const withValues = ({ inputs, labels, weights }: Batch): TrainingBatch => ({
  inputs: { ...inputs, labels: labels!, weights },
});

const nextTokenLoss =
  (output: string): ProgramOptions['loss'] =>
  (build, outputs) => {
    const logits = required(outputs, output);
    const [rows, sequence, vocabulary] = staticShape(logits);
    const labels = build.input('labels', 'int64', [rows * sequence]);
    const flat = build.op('Reshape', [logits, build.int64s([rows * sequence, vocabulary])]);
    return crossEntropy(build, flat, labels, { ignoreLabel: IGNORED });
  };

/** The label of a position is the next token, if that is real (and of the second text where there is one). */
function withNextTokens({ inputs, sequence, rows: numbers }: Batch, rows: TokenRows): TrainingBatch {
  const ids = inputs.input_ids.data as BigInt64Array;
  const labels = new BigInt64Array(ids.length).fill(BigInt(IGNORED));
  numbers.forEach((number, row) => {
    const length = rows.lengths[number];
    const first = rows.firstLengths[number];
    for (let at = first < length ? first : 1; at < length; at++)
      labels[row * sequence + at - 1] = ids[row * sequence + at];
  });
  const tensor: HostTensor = { dtype: 'int64', dims: [labels.length], data: labels };
  return { inputs: { ...inputs, labels: tensor } };
}
