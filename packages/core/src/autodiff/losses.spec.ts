import { Graph, Model, Tensor } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { ortRuntime } from '../runtime';
import { checkGradients } from './gradient-check';
import { binaryCrossEntropy, cosineDistance, crossEntropy, klDivergence, meanSquaredError } from './losses';
import type { CrossEntropyOptions } from './losses';

type Matrix = readonly (readonly number[])[];

const LOGITS: Matrix = [
  [1.2, -0.3, 0.5],
  [0.1, 2.0, -1.0],
  [-0.7, 0.4, 0.9],
  [3.0, 1.0, 2.0],
];
const OTHERS: Matrix = [
  [0.4, 0.3, -0.5],
  [1.1, 1.9, 0.2],
  [-0.2, -1.4, 0.8],
  [1.0, 1.5, -2.0],
];
const LABELS = [2, 1, -100, 0];

const tensor = (matrix: Matrix): Tensor => Tensor.float32([matrix.length, matrix[0].length], matrix.flat());

/** Builds a loss on constants and runs it. */
async function valueOf(make: (build: GraphBuilder) => Value): Promise<number> {
  const build = new GraphBuilder(new Model(new Graph()));
  build.output(make(build), 'loss');
  const executable = await ortRuntime.compile(build.model, { threads: 1 });
  const { loss } = await executable.run({});
  await executable.release();
  expect(loss.dims).toEqual([]);
  return Number(loss.data[0]);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const dot = (a: readonly number[], b: readonly number[]): number => sum(a.map((value, i) => value * b[i]));
const logSoftmax = (row: readonly number[]): number[] => row.map((z) => z - Math.log(sum(row.map(Math.exp))));

/** torch.nn.CrossEntropyLoss, from its documentation, in float64. */
function directCrossEntropy(options: CrossEntropyOptions): number {
  const { labelSmoothing = 0, ignoreLabel = -100, classWeights = [1, 1, 1] } = options;
  const rows = LOGITS.map((row, n) => ({ logs: logSoftmax(row), label: LABELS[n] }));
  const counted = rows.filter(({ label }) => label !== ignoreLabel);
  const losses = counted.map(({ logs, label }) => {
    const hard = -classWeights[label] * logs[label];
    return (1 - labelSmoothing) * hard - (labelSmoothing / logs.length) * dot(classWeights, logs);
  });
  return sum(losses) / sum(counted.map(({ label }) => classWeights[label]));
}

describe('crossEntropy', () => {
  const build = (options: CrossEntropyOptions) => (builder: GraphBuilder) =>
    crossEntropy(builder, builder.constant(tensor(LOGITS)), builder.constant(Tensor.int64([4], LABELS)), options);

  it.each<CrossEntropyOptions>([
    {},
    { labelSmoothing: 0.1 },
    { classWeights: [0.5, 2, 1] },
    { classWeights: [0.5, 2, 1], labelSmoothing: 0.2 },
  ])('equals the formula with %j', async (options) => {
    expect(await valueOf(build(options))).toBeCloseTo(directCrossEntropy(options), 6);
  });

  it('is 0 when every row is ignored', async () => {
    const loss = await valueOf((b) =>
      crossEntropy(b, b.constant(tensor(LOGITS)), b.constant(Tensor.int64([4], [7, 7, 7, 7])), { ignoreLabel: 7 }),
    );
    expect(loss).toBe(0);
  });

  it('refuses labels and weights of another size', () => {
    const b = new GraphBuilder(new Model(new Graph()));
    const logits = b.constant(tensor(LOGITS));
    expect(() => crossEntropy(b, logits, b.int64s([1]))).toThrow('The labels must be int64[4]');
    expect(() => crossEntropy(b, logits, b.int64s(LABELS), { classWeights: [1] })).toThrow(
      '1 class weights were given for 3 classes.',
    );
  });
});

describe('distances', () => {
  const constants = (b: GraphBuilder): [Value, Value] => [b.constant(tensor(LOGITS)), b.constant(tensor(OTHERS))];

  it.each([1, 2.5])('klDivergence at temperature %d equals the formula', async (temperature) => {
    const soften = (row: readonly number[]): number[] => logSoftmax(row.map((z) => z / temperature));
    const rows = LOGITS.map((student, n) => {
      const [p, q] = [soften(OTHERS[n]), soften(student)];
      return dot(
        p.map(Math.exp),
        p.map((log, i) => log - q[i]),
      );
    });
    const expected = (temperature ** 2 * sum(rows)) / rows.length;
    expect(await valueOf((b) => klDivergence(b, ...constants(b), temperature))).toBeCloseTo(expected, 5);
  });

  it('meanSquaredError equals the formula', async () => {
    const differences = LOGITS.flatMap((row, n) => row.map((value, i) => value - OTHERS[n][i]));
    expect(await valueOf((b) => meanSquaredError(b, ...constants(b)))).toBeCloseTo(
      dot(differences, differences) / 12,
      6,
    );
  });

  it('cosineDistance equals the formula', async () => {
    const rows = LOGITS.map((a, n) => 1 - dot(a, OTHERS[n]) / Math.sqrt(dot(a, a) * dot(OTHERS[n], OTHERS[n])));
    expect(await valueOf((b) => cosineDistance(b, ...constants(b)))).toBeCloseTo(sum(rows) / 4, 6);
  });

  it('binaryCrossEntropy equals the formula', async () => {
    const targets = OTHERS.map((row) => row.map((value) => Number(value > 0.3)));
    const elements = LOGITS.flatMap((row, n) =>
      row.map((z, i) => {
        const p = 1 / (1 + Math.exp(-z));
        return -(targets[n][i] * Math.log(p) + (1 - targets[n][i]) * Math.log(1 - p));
      }),
    );
    const loss = await valueOf((b) => binaryCrossEntropy(b, b.constant(tensor(LOGITS)), b.constant(tensor(targets))));
    expect(loss).toBeCloseTo(sum(elements) / 12, 6);
  });

  it('refuses different shapes', () => {
    const b = new GraphBuilder(new Model(new Graph()));
    expect(() => meanSquaredError(b, b.constant(tensor(LOGITS)), b.scalar(1))).toThrow('must have one shape');
  });
});

describe('gradients of losses', () => {
  const inputs = [{ dims: [4, 3] }];
  const pair = [{ dims: [4, 3] }, { dims: [4, 3] }];
  it.each([
    [
      'crossEntropy',
      {
        inputs,
        build: (b: GraphBuilder, [logits]: readonly Value[]) =>
          crossEntropy(b, logits, b.int64s(LABELS), { labelSmoothing: 0.1, classWeights: [0.5, 2, 1] }),
      },
    ],
    ['klDivergence', { inputs: pair, build: (b: GraphBuilder, [s, t]: readonly Value[]) => klDivergence(b, s, t, 2) }],
    [
      'meanSquaredError',
      { inputs: pair, build: (b: GraphBuilder, [x, y]: readonly Value[]) => meanSquaredError(b, x, y) },
    ],
    ['cosineDistance', { inputs: pair, build: (b: GraphBuilder, [x, y]: readonly Value[]) => cosineDistance(b, x, y) }],
    [
      'binaryCrossEntropy',
      { inputs: pair, build: (b: GraphBuilder, [x, y]: readonly Value[]) => binaryCrossEntropy(b, x, y) },
    ],
  ])('%s equals central differences', async (_, gradientCase) => {
    const { errors } = await checkGradients(ortRuntime, gradientCase);
    for (const error of errors) expect(error).toBeLessThan(1e-3);
  });
});
