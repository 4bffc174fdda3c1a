import { Graph, Model, Node, Tensor, Value } from '../graph';
import type { DType } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import { ModelpressError } from '../errors';
import { differentiate } from './differentiate';
import { meanSquaredError } from './losses';
import { buildTrainingGraph } from './training-graph';
import type { TrainingGraph, TrainingGraphOptions } from './training-graph';

const newBuilder = (): GraphBuilder => new GraphBuilder(new Model(new Graph()));
const ramp = (...dims: number[]): Tensor =>
  Tensor.float32(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => ((i * 5) % 7) * 0.25 - 0.5),
  );

/** ids [2, 3] -> table rows -> tanh -> sums over the rows, with a second use of `scale`. */
function lookupModel(rows: number): Model {
  const build = newBuilder();
  const ids = build.input('ids', 'int64', [2, 3]);
  const table = build.parameter('table', ramp(rows, 2));
  const scale = build.parameter('scale', ramp(2));
  const state = build.op('Tanh', [build.op('Mul', [build.op('Gather', [table, ids]), scale])], {}, 'state');
  build.output(build.op('ReduceSum', [state, build.int64s([1])], { keepdims: 0 }), 'y');
  return build.model;
}

const squaredLoss: TrainingGraphOptions['loss'] = (build, outputs) => {
  const y = outputs.get('y')!;
  return meanSquaredError(build, y, build.constant(Tensor.float32(y.shape!.map(Number), new Float32Array(4))));
};

const host = (dtype: DType, dims: readonly number[], data: HostTensor['data']): HostTensor => ({ dtype, dims, data });
const IDS = host('int64', [2, 3], BigInt64Array.of(1n, 0n, 1n, -1n, 1n, 0n));

async function run(training: TrainingGraph, source: Model, feeds: Record<string, HostTensor> = {}) {
  const executable = await ortRuntime.compile(training.model, { threads: 1 });
  const parameters = source.graph.initializers.map(({ name, constant }) => [name, constant!] as const);
  const inputs = parameters.filter(([name]) => training.model.graph.inputs.some((input) => input.name === name));
  const results = await executable.run({ ids: IDS, ...Object.fromEntries(inputs), ...feeds });
  await executable.release();
  return results;
}
const numbers = (tensor: HostTensor): number[] => Array.from(tensor.data as Float32Array);

describe('buildTrainingGraph', () => {
  it('leaves the model alone and names what it makes', () => {
    const model = lookupModel(4);
    const training = buildTrainingGraph(model, { parameters: ['table', 'scale'], loss: squaredLoss });
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['ids']);
    expect(training.model.graph.inputs.map(({ name }) => name)).toEqual(['ids', 'table', 'scale']);
    expect(training.outputs).toEqual(['y']);
    expect(Object.fromEntries(training.gradients)).toEqual({
      table: { kind: 'dense', output: 'grad.table' },
      scale: { kind: 'dense', output: 'grad.scale' },
    });
  });

  it('gives a large table as rows that add up to the dense gradient', async () => {
    const [small, large] = [lookupModel(4), lookupModel(1000)];
    // Row -1 of the small table must be row -1 of the large one.
    large.graph.value('table').constant!.data.set(small.graph.value('table').constant!.data.slice(0, 6) as never);
    large.graph.value('table').constant!.data.set(small.graph.value('table').constant!.data.slice(6) as never, 1998);
    const options = { parameters: ['table'], loss: squaredLoss };
    const [dense, rows] = [buildTrainingGraph(small, options), buildTrainingGraph(large, options)];
    expect(rows.gradients.get('table')).toEqual({ kind: 'rows', ids: 'ids', rows: 'grad.table.rows' });
    const expected = numbers((await run(dense, small))['grad.table']);
    const found = (await run(rows, large))['grad.table.rows'];
    expect(found.dims).toEqual([6, 2]);
    const summed = new Float32Array(8);
    numbers(found).forEach((value, i) => (summed[((Number(IDS.data[i >> 1]) + 4) % 4) * 2 + (i % 2)] += value));
    expected.forEach((value, i) => expect(summed[i]).toBeCloseTo(value, 6));
  });

  it('joins the rows of a table that is read twice, and outputs ids that are computed', () => {
    const build = newBuilder();
    const ids = build.input('ids', 'int64', [2, 3]);
    const table = build.parameter('table', ramp(1000, 2));
    const next = build.op('Add', [ids, build.scalar(1, 'int64')]);
    build.output(build.op('Mul', [build.op('Gather', [table, ids]), build.op('Gather', [table, next])]), 'y');
    const training = buildTrainingGraph(build.model, {
      parameters: ['table'],
      loss: (b, outputs) => b.op('ReduceSum', [outputs.get('y')!], { keepdims: 0 }),
    });
    expect(training.gradients.get('table')).toEqual({ kind: 'rows', ids: 'grad.table.ids', rows: 'grad.table.rows' });
    const { graph } = training.model;
    expect([graph.value('grad.table.ids').shape, graph.value('grad.table.rows').shape]).toEqual([[12], [12, 2]]);
  });

  it('outputs activations with their gradients', async () => {
    const model = lookupModel(4);
    const training = buildTrainingGraph(model, {
      parameters: [],
      loss: squaredLoss,
      outputs: [],
      activations: ['state'],
    });
    const { value, gradient } = training.activations.get('state')!;
    const results = await run(training, model);
    const state = numbers(results[value]);
    // y_n = sum_t state[n, t]; dLoss/dstate[n, t] = 2 y_n / 4
    const sums = [0, 1].map((n) =>
      [0, 1].map((i) => [0, 1, 2].reduce((sum, t) => sum + state[(n * 3 + t) * 2 + i], 0)),
    );
    numbers(results[gradient]).forEach((g, at) => expect(g).toBeCloseTo(sums[Math.floor(at / 6)][at % 2] / 2, 5));
  });

  it('gates a value: the gradient of a gate of ones is the sum of activation times gradient', async () => {
    const model = lookupModel(4);
    const options = { parameters: [], loss: squaredLoss, outputs: [] };
    const plain = buildTrainingGraph(model, { ...options, activations: ['state'] });
    const gated = buildTrainingGraph(model, { ...options, gates: [{ value: 'state', axis: -1 }] });
    expect(gated.gates.get('state')).toEqual({ input: 'state.gate', gradient: 'grad.state.gate' });
    const { state, 'grad.state': slopes } = await run(plain, model);
    const ones = host('float32', [2], Float32Array.of(1, 1));
    const gradient = numbers((await run(gated, model, { 'state.gate': ones }))['grad.state.gate']);
    const products = numbers(state).map((value, i) => value * numbers(slopes)[i]);
    gradient.forEach((g, i) =>
      expect(g).toBeCloseTo(
        products.filter((_, at) => at % 2 === i).reduce((a, b) => a + b),
        5,
      ),
    );
  });

  it('does not compute what nobody wants', () => {
    const training = buildTrainingGraph(lookupModel(4), { parameters: ['scale'], loss: squaredLoss, outputs: [] });
    const ops = training.model.graph.nodes.map(({ opType }) => opType);
    expect(ops).not.toContain('ScatterND');
    expect(training.model.graph.outputs.map(({ name }) => name)).toEqual(['grad.scale', 'loss']);
  });

  it('has no entry for a parameter that the loss does not depend on', () => {
    const model = lookupModel(4);
    model.graph.addInitializer('lonely', ramp(2));
    const training = buildTrainingGraph(model, { parameters: ['lonely', 'scale'], loss: squaredLoss });
    expect([...training.gradients.keys()]).toEqual(['scale']);
  });
});

describe('what is refused', () => {
  const codeOf = (make: () => unknown): [string, unknown] => {
    try {
      make();
    } catch (error) {
      const { code, details } = ModelpressError.from(error);
      return [code, details.node];
    }
    throw new Error('Nothing was thrown.');
  };
  const sumOf = (build: GraphBuilder, value: Value): Value => build.op('ReduceSum', [value], { keepdims: 0 });

  it('a quantized op on the way, by name', () => {
    const build = newBuilder();
    const x = build.input('x', 'float32', [2]);
    const [quantized, scale] = build.ops('DynamicQuantizeLinear', [x], {}, 3, 'quantize');
    const y = build.op('DequantizeLinear', [quantized, scale], {}, 'dequantize');
    // The uint8 values stop the walk, the scale does not.
    expect(codeOf(() => differentiate(build, sumOf(build, y), [x]))).toEqual(['autodiff.forbidden', 'dequantize']);
  });

  it('a dynamic shape, half precision, and a loss that is no scalar', () => {
    const dynamic = newBuilder();
    const x = dynamic.input('x', 'float32', ['batch', 2]);
    const b = dynamic.parameter('b', ramp(2));
    const loss = sumOf(dynamic, dynamic.op('Add', [x, b], {}, 'add'));
    expect(codeOf(() => differentiate(dynamic, loss, [b]))[0]).toBe('ops.dynamic-shape');

    const half = newBuilder();
    const h = half.input('h', 'float16', [2]);
    const cast = half.op('Cast', [half.op('Tanh', [h], {}, 'tanh')], { to: 1 }, 'cast');
    expect(codeOf(() => differentiate(half, sumOf(half, cast), [h]))).toEqual(['autodiff.dtype', 'cast']);

    const vector = newBuilder();
    const v = vector.input('v', 'float32', [2]);
    expect(codeOf(() => differentiate(vector, v, [v]))[0]).toBe('autodiff.loss');
  });

  it('an unknown op, an integer parameter, and an activation that the loss does not see', () => {
    const build = newBuilder();
    const x = build.input('x', 'float32', [2]);
    const y = new Value('y', { dtype: 'float32', shape: [2] });
    build.graph.addNode(new Node('Fancy', 'org.example', 'fancy', [x], [y]));
    expect(codeOf(() => differentiate(build, sumOf(build, y), [x]))).toEqual(['ops.unknown', 'fancy']);

    const model = lookupModel(4);
    model.graph.addInitializer('steps', Tensor.int64([1], [1]));
    const options = { parameters: [], loss: squaredLoss };
    expect(codeOf(() => buildTrainingGraph(model, { ...options, parameters: ['steps'] }))[0]).toBe(
      'autodiff.parameter',
    );
    expect(codeOf(() => buildTrainingGraph(model, { ...options, parameters: ['ids'] }))[0]).toBe(
      'graph.not-an-initializer',
    );
    expect(codeOf(() => buildTrainingGraph(model, { ...options, activations: ['ids'] }))[0]).toBe(
      'autodiff.independent',
    );
  });
});

describe('differentiate', () => {
  it('passes the gradient straight through Round', () => {
    const build = newBuilder();
    const x = build.input('x', 'float32', [3]);
    const loss = build.op('ReduceSum', [build.op('Mul', [build.op('Round', [x]), build.constant(ramp(3))])], {
      keepdims: 0,
    });
    const gradient = differentiate(build, loss, [x]).get(x)!;
    expect(gradient.producer?.opType).toBe('Mul');
    expect(gradient.producer?.inputs).toContain(build.graph.value('const'));
  });

  it('stops at ops without a derivative', () => {
    const build = newBuilder();
    const x = build.input('x', 'float32', [3]);
    const mask = build.op('Cast', [build.op('Greater', [x, build.scalar(0)])], { to: 1 });
    const loss = build.op('ReduceSum', [mask], { keepdims: 0 });
    expect(differentiate(build, loss, [x]).size).toBe(0);
  });

  it('adds one contribution for every use', async () => {
    const build = newBuilder();
    const x = build.input('x', 'float32', [1]);
    const square = build.op('Mul', [x, x]);
    const loss = build.op('Add', [build.op('Mul', [square, x]), square]);
    build.output(differentiate(build, loss, [x]).get(x)!, 'dx');
    const executable = await ortRuntime.compile(build.model, { threads: 1 });
    const { dx } = await executable.run({ x: host('float32', [1], Float32Array.of(3)) });
    await executable.release();
    expect(numbers(dx)).toEqual([3 * 9 + 2 * 3]); // d(x^3 + x^2)
  });
});
