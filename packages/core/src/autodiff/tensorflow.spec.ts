/** @file A second opinion: the gradients that TensorFlow.js finds by its own rules for the same functions. */
import { ortRuntime } from '../runtime';
import { loadTensorFlow } from '../runtime/tfjs/library';
import type { Tf, TfTensor } from '../runtime/tfjs/library';
import { prepare, relativeError, runGradients } from './gradient-check';
import type { GradientCase } from './gradient-check';
import { klDivergence, meanSquaredError } from './losses';

interface Comparison {
  readonly name: string;
  readonly inputs: readonly (readonly number[])[];
  readonly ours: GradientCase['build'];
  readonly theirs: (tf: Tf, x: readonly TfTensor[]) => TfTensor;
}

/** (x - mean) / sqrt(variance + epsilon) scale + bias, spelled out. */
function layerNorm(tf: Tf, [x, scale, bias]: readonly TfTensor[]): TfTensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.div(centred, tf.sqrt(tf.add(variance, 1e-5))), scale), bias);
}

const gelu = (tf: Tf, x: TfTensor): TfTensor => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1));

function attention(tf: Tf, [q, k, v]: readonly TfTensor[]): TfTensor {
  return tf.matMul(tf.softmax(tf.div(tf.matMul(q, k, false, true), 2)), v);
}

const COMPARISONS: readonly Comparison[] = [
  {
    name: 'a linear layer',
    inputs: [[5, 4], [4, 3], [3]],
    ours: (b, [x, w, bias]) => b.op('Tanh', [b.op('Add', [b.op('MatMul', [x, w]), bias])]),
    theirs: (tf, [x, w, bias]) => tf.tanh(tf.add(tf.matMul(x, w), bias)),
  },
  {
    name: 'layer normalization',
    inputs: [[2, 3, 6], [6], [6]],
    ours: (b, x) => b.op('LayerNormalization', x),
    theirs: layerNorm,
  },
  { name: 'gelu', inputs: [[4, 5]], ours: (b, x) => b.op('Gelu', x), theirs: (tf, [x]) => gelu(tf, x) },
  {
    name: 'attention',
    inputs: [
      [2, 3, 4],
      [2, 3, 4],
      [2, 3, 4],
    ],
    ours: (b, [q, k, v]) => {
      const scores = b.op('MatMul', [q, b.op('Transpose', [k], { perm: [0, 2, 1] })]);
      return b.op('MatMul', [b.op('Softmax', [b.op('Div', [scores, b.scalar(2)])], { axis: -1 }), v]);
    },
    theirs: attention,
  },
  {
    name: 'an embedding',
    inputs: [[5, 3]],
    ours: (b, [table]) => b.op('Gather', [table, b.int64s([1, 4, 1])]),
    theirs: (tf, [table]) => tf.gather(table, tf.tensor1d([1, 4, 1], 'int32')),
  },
  {
    name: 'a convolution over time with global maxima',
    inputs: [
      [2, 3, 7],
      [4, 3, 3],
    ],
    ours: (b, x) => b.op('ReduceMax', [b.op('Conv', x), b.int64s([2])]),
    theirs: (tf, [x, w]) => {
      const signal = tf.transpose(x, [0, 2, 1]) as ReturnType<Tf['tensor3d']>;
      const kernel = tf.transpose(w, [2, 1, 0]) as ReturnType<Tf['tensor3d']>;
      return tf.expandDims(tf.max(tf.conv1d(signal, kernel, 1, 'valid'), 1), -1);
    },
  },
  {
    name: 'log softmax and sums',
    inputs: [[3, 4]],
    ours: (b, x) => b.op('ReduceMean', [b.op('LogSoftmax', x), b.int64s([0])]),
    theirs: (tf, [x]) => tf.mean(tf.logSoftmax(x), 0, true),
  },
  {
    name: 'slices, concatenation and cumulative sums',
    inputs: [
      [4, 3],
      [2, 3],
    ],
    ours: (b, [x, y]) => {
      const part = b.op('Slice', [x, b.int64s([1]), b.int64s([3]), b.int64s([0])]);
      return b.op('CumSum', [b.op('Concat', [part, y], { axis: 0 }), b.scalar(1, 'int64')]);
    },
    theirs: (tf, [x, y]) => tf.cumsum(tf.concat([tf.slice(x, [1, 0], [2, 3]), y], 0), 1),
  },
  {
    name: 'the distillation loss',
    inputs: [
      [4, 3],
      [4, 3],
    ],
    ours: (b, [student, teacher]) => klDivergence(b, student, teacher, 2),
    theirs: (tf, [student, teacher]) => {
      const [p, q] = [teacher, student].map((logits) => tf.logSoftmax(tf.div(logits, 2)));
      return tf.sum(tf.mul(tf.exp(p), tf.sub(p, q)));
    },
  },
  {
    name: 'mean squared error',
    inputs: [
      [4, 3],
      [4, 3],
    ],
    ours: (b, [x, y]) => meanSquaredError(b, x, y),
    theirs: (tf, [x, y]) => tf.mean(tf.square(tf.sub(x, y))),
  },
];

describe('gradients by TensorFlow.js', () => {
  beforeAll(() => void require('@tensorflow/tfjs-core/dist/register_all_gradients'));

  it.each(COMPARISONS)('of $name are ours', async ({ inputs, ours, theirs }) => {
    const gradientCase: GradientCase = { inputs: inputs.map((dims) => ({ dims })), build: ours };
    const { feeds, weights } = prepare(gradientCase);
    const { tf } = await loadTensorFlow('cpu');
    const x = inputs.map((dims, i) => tf.tensor(feeds[`x${i}`].data as Float32Array, [...dims]));
    const { dims, data } = weights['w0'];
    const expected = tf.grads((...list) => theirs(tf, list))(x, tf.tensor(data as Float32Array, [...dims]));
    const found = await runGradients(ortRuntime, gradientCase);
    for (const [i, gradient] of found.entries()) {
      expect(relativeError(gradient, Array.from(await expected[i].data()))).toBeLessThan(1e-5);
    }
  });
});
