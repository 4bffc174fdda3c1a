import { Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../../graph';
import type { DType, Shape } from '../../graph';
import { ModelpressError } from '../../errors';
import type { HostTensor } from '../runtime';
import { ortRuntime } from '.';

/** y = op(inputs...) */
function oneNode(op: string, inputs: readonly [DType, Shape][], output: [DType, Shape]): Model {
  const graph = new Graph();
  const values = inputs.map(([dtype, shape], i) => graph.addInput(`x${i}`, dtype, shape));
  const y = new Value('y', { dtype: output[0], shape: output[1] });
  graph.addNode(new Node(op, ONNX_DOMAIN, `the-${op}`, values, [y]));
  graph.addOutput(y);
  return new Model(graph);
}

const float32 = (dims: number[], values: ArrayLike<number>): HostTensor => ({
  dtype: 'float32',
  dims,
  data: Float32Array.from(values),
});

const matmul = oneNode(
  'MatMul',
  [
    ['float32', [2, 2]],
    ['float32', [2, 2]],
  ],
  ['float32', [2, 2]],
);

async function failure(promise: Promise<unknown>): Promise<ModelpressError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ModelpressError) return error;
    throw error;
  }
  throw new Error('expected a failure');
}

describe('ortRuntime', () => {
  it('writes preallocated outputs in place, at any offset of a WebAssembly memory, and reads inputs from there', async () => {
    const executable = await ortRuntime.compile(matmul, { threads: 1 });
    const { buffer } = new WebAssembly.Memory({ initial: 1 });
    const x1 = { dtype: 'float32', dims: [2, 2], data: new Float32Array(buffer, 4, 4) } as const;
    const y = { dtype: 'float32', dims: [2, 2], data: new Float32Array(buffer, 100, 4) } as const;
    x1.data.set([1, 2, 3, 4]);
    const results = await executable.run({ x0: float32([2, 2], [1, 0, 0, 1]), x1 }, { y });
    expect(results.y).toBe(y);
    expect([...y.data]).toEqual([1, 2, 3, 4]);
    // The same wrapped tensors see what changed in place.
    x1.data[3] = 9;
    await executable.run({ x0: float32([2, 2], [2, 0, 0, 2]), x1 }, { y });
    expect([...y.data]).toEqual([2, 4, 6, 18]);
    await executable.release();
  });

  it('passes int64 and bool through', async () => {
    const executable = await ortRuntime.compile(oneNode('Not', [['bool', ['n']]], ['bool', ['n']]));
    const { y } = await executable.run({ x0: { dtype: 'bool', dims: [3], data: Uint8Array.of(1, 0, 1) } });
    expect(y).toEqual({ dtype: 'bool', dims: [3], data: Uint8Array.of(0, 1, 0) });
    const gather = await ortRuntime.compile(
      oneNode(
        'Gather',
        [
          ['int64', [3]],
          ['int64', ['k']],
        ],
        ['int64', ['k']],
      ),
    );
    const ints = (...values: bigint[]): HostTensor => ({
      dtype: 'int64',
      dims: [values.length],
      data: BigInt64Array.from(values),
    });
    const picked = await gather.run({ x0: ints(5n, 6n, 2n ** 62n), x1: ints(2n, 0n) });
    expect(picked.y.data).toEqual(BigInt64Array.of(2n ** 62n, 5n));
    expect(await failure(gather.run({ x0: ints(1n, 2n, 3n), x1: ints(7n) }))).toMatchObject({
      code: 'runtime.input',
      details: { node: 'the-Gather', op: 'Gather' },
    });
    await Promise.all([executable.release(), gather.release()]);
  });

  it('names the input that is missing, ill-shaped or of a wrong type', async () => {
    const executable = await ortRuntime.compile(matmul);
    const good = float32([2, 2], [1, 2, 3, 4]);
    expect(await failure(executable.run({ x0: good }))).toMatchObject({
      code: 'runtime.input',
      details: { field: 'x1' },
    });
    const shape = await failure(executable.run({ x0: good, x1: float32([1, 4], [1, 2, 3, 4]) }));
    expect(shape.message).toBe('The input "x1" must have the shape [2,2], not [1,4].');
    const size = await failure(executable.run({ x0: good, x1: float32([2, 2], [1]) }));
    expect(size.message).toBe('The input "x1" is declared [2,2] but holds 1 elements.');
    const dtype = await failure(
      executable.run({ x0: good, x1: { dtype: 'float64', dims: [2, 2], data: new Float64Array(4) } }),
    );
    expect(dtype.message).toBe('The input "x1" must be float32, not float64.');
    const output = await failure(executable.run({ x0: good, x1: good }, { y: float32([4], [0, 0, 0, 0]) }));
    expect(output.message).toBe('The output "y" must have the shape [2,2], not [4].');
    await executable.release();
    expect(await failure(executable.run({ x0: good, x1: good }))).toMatchObject({ code: 'runtime.released' });
    await executable.release();
  });

  it('names the node of a model that ONNX Runtime refuses', async () => {
    const unknown = await failure(ortRuntime.compile(oneNode('NoSuchOp', [['float32', [1]]], ['float32', [1]])));
    expect(unknown).toMatchObject({ kind: 'unsupported', code: 'runtime.compile' });
    expect(unknown.message).toContain('NoSuchOp');
    const garbage = await failure(ortRuntime.compile(Uint8Array.of(1, 2, 3)));
    expect(garbage.code).toBe('runtime.compile');
    const wrong = await failure(
      ortRuntime.compile(
        oneNode(
          'MatMul',
          [
            ['float32', [2, 3]],
            ['float32', [2, 3]],
          ],
          ['float32', [2, 3]],
        ),
      ),
    );
    expect(wrong.details).toMatchObject({ node: 'the-MatMul', op: 'MatMul' });
  });

  it('says why a device cannot be used, and reports every device', async () => {
    const { devices } = await ortRuntime.capabilities();
    expect(devices.map(({ device }) => device)).toEqual(['cpu', 'cuda', 'webgpu']);
    expect(devices[0]).toEqual({ device: 'cpu', available: true });
    for (const { device, available, reason } of devices) {
      if (available) continue;
      const error = await failure(ortRuntime.compile(matmul, { device }));
      expect(error).toMatchObject({ kind: 'unsupported', code: 'runtime.device' });
      expect(error.message).toContain(reason);
    }
  });

  it('keeps initializers of a model', async () => {
    const model = oneNode(
      'Add',
      [
        ['float32', [2]],
        ['float32', [2]],
      ],
      ['float32', [2]],
    );
    const [x0, x1] = model.graph.inputs;
    const constant = model.graph.addInitializer('constant', Tensor.float32([2], [10, 20]));
    model.graph.replaceAllUses(x1, constant);
    model.graph.removeValue(x1);
    const executable = await ortRuntime.compile(model);
    expect(executable.inputs).toEqual([x0.name]);
    expect(await executable.run({ x0: float32([2], [1, 2]) })).toMatchObject({ y: float32([2], [11, 22]) });
    await executable.release();
  });
});
