/** @file A model small enough to train in milliseconds, for the tests of this folder and of those that train. */
import { crossEntropy } from '../autodiff';
import { Graph, Model, Tensor } from '../graph';
import { GraphBuilder } from '../graph/builder';
import type { HostTensor } from '../runtime/runtime';
import { Random } from './random';
import type { TrainerOptions, TrainingBatch } from './trainer';

export const VOCABULARY = 1200;
const WIDTH = 6;
const CLASSES = 3;

/** logits = relu(mean(table[ids]) W1 + b1) W2, over ids [batch, sequence]. The table is large enough to come as rows. */
export function bagModel(seed = 1): Model {
  const build = new GraphBuilder(new Model(new Graph('bag')));
  const random = new Random(seed);
  const parameter = (name: string, dims: number[]) =>
    build.parameter(
      name,
      Tensor.float32(
        dims,
        Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal()),
      ),
    );
  const ids = build.input('ids', 'int64', ['batch', 'sequence']);
  const rows = build.op('Gather', [parameter('table', [VOCABULARY, WIDTH]), ids]);
  const mean = build.op('ReduceMean', [rows, build.int64s([1])], { keepdims: 0 });
  const hidden = build.op(
    'Relu',
    [build.op('Add', [build.op('MatMul', [mean, parameter('W1', [WIDTH, 8])]), parameter('b1', [8])])],
    {},
    'hidden',
  );
  build.output(build.op('MatMul', [hidden, parameter('W2', [8, CLASSES])]), 'logits');
  return build.model;
}

/** Cross-entropy of the output `logits` with the input `labels`. */
export const classificationLoss: TrainerOptions['loss'] = (build, outputs) => {
  const logits = outputs.get('logits')!;
  return crossEntropy(build, logits, build.input('labels', 'int64', logits.shape!.slice(0, 1)));
};

const int64 = (dims: readonly number[], draw: () => number): HostTensor => ({
  dtype: 'int64',
  dims,
  data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b) }, () => BigInt(draw())),
});

/** A random batch for `bagModel`. */
export function bagBatch(seed: number, rows = 4, sequence = 5): TrainingBatch {
  const random = new Random(seed);
  const ids = int64([rows, sequence], () => random.integer(VOCABULARY));
  return { inputs: { ids, labels: int64([rows], () => random.integer(CLASSES)) } };
}
