import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithNative } from '../../../../../tools/native-addon';
import { ModelpressError } from '../../errors';
import { Graph, Model, Tensor } from '../../graph';
import { GraphBuilder } from '../../graph/builder';
import { writeModel, writeModelFile } from '../../onnx';
import { ortRuntime } from '../ort';
import type { HostTensor } from '../runtime';
import { tfjsRuntime } from '../tfjs';
import { bf16Obstacle, nativeRuntime, switchNative } from '.';

const SIDE = 64;

/** y = gelu(x w + b), with x [rows, SIDE]. */
function layer(): Model {
  const build = new GraphBuilder(new Model(new Graph()));
  const wave = (length: number, step: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => Math.sin(step * i));
  const x = build.input('x', 'float32', ['rows', SIDE]);
  const w = build.parameter('w', Tensor.float32([SIDE, SIDE], wave(SIDE * SIDE, 0.7)));
  const product = build.op('MatMul', [x, w]);
  const sum = build.op('Add', [product, build.parameter('b', Tensor.float32([SIDE], wave(SIDE, 0.3)))]);
  build.output(build.op('Gelu', [sum]), 'y');
  return build.model;
}

const rows = (count: number): HostTensor => ({
  dtype: 'float32',
  dims: [count, SIDE],
  data: Float32Array.from({ length: count * SIDE }, (_, i) => Math.cos(1.3 * i)),
});

async function failure(promise: Promise<unknown>): Promise<ModelpressError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ModelpressError) return error;
  throw new Error(`expected a ModelpressError, got ${String(error)}`);
}

describeWithNative('nativeRuntime', () => {
  afterEach(() => switchNative('auto'));

  it('says what it can do', async () => {
    const { runtime, version, devices } = await nativeRuntime.capabilities();
    expect({ runtime, devices }).toEqual({ runtime: 'native', devices: [{ device: 'cpu', available: true }] });
    expect(version).toBe((await ortRuntime.capabilities()).version);
  });

  it('computes the same bits as onnxruntime-node, from a model, its bytes and its file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'modelpress-native-'));
    try {
      const path = join(folder, 'model.onnx');
      await writeModelFile(layer(), path);
      const x = rows(37);
      const expected = await (await ortRuntime.compile(layer(), { threads: 2 })).run({ x });
      for (const model of [layer(), writeModel(layer()), { path }]) {
        const executable = await nativeRuntime.compile(model, { threads: 2 });
        expect(executable.inputs).toEqual(['x']);
        expect(executable.outputs).toEqual(['y']);
        expect(await executable.run({ x })).toEqual(expected);
        await executable.release();
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('writes into shared memory that is given, and hands back that tensor', async () => {
    const executable = await nativeRuntime.compile(layer(), { threads: 1 });
    const x = rows(5);
    const y: HostTensor = {
      dtype: 'float32',
      dims: [5, SIDE],
      data: new Float32Array(new SharedArrayBuffer(5 * SIDE * 4)),
    };
    const fresh = await executable.run({ x });
    expect((await executable.run({ x }, { y })).y).toBe(y);
    expect(y).toEqual(fresh.y);
    await executable.release();
  });

  it('refuses what does not fit, with the name of the tensor', async () => {
    const executable = await nativeRuntime.compile(layer(), { threads: 1 });
    expect(await failure(executable.run({}))).toMatchObject({ code: 'runtime.input', details: { field: 'x' } });
    const wrong = { ...rows(5), dims: [SIDE, 5] };
    expect(await failure(executable.run({ x: wrong }))).toMatchObject({
      code: 'runtime.input',
      details: { field: 'x' },
    });
    const y = rows(4);
    expect(await failure(executable.run({ x: rows(5) }, { y }))).toMatchObject({ code: 'runtime.input' });
    const detached = rows(5);
    structuredClone(detached.data.buffer, { transfer: [detached.data.buffer as ArrayBuffer] });
    expect(await failure(executable.run({ x: detached }))).toMatchObject({ code: 'runtime.input' });
    await executable.release();
    expect(await failure(executable.run({ x: rows(5) }))).toMatchObject({ code: 'runtime.released' });
    expect(await failure(nativeRuntime.compile(Uint8Array.of(1, 2, 3)))).toMatchObject({ code: 'runtime.compile' });
    expect(await failure(nativeRuntime.compile(layer(), { device: 'cuda' }))).toMatchObject({ code: 'runtime.device' });
  });

  it('ends a run when told', async () => {
    const executable = await nativeRuntime.compile(layer(), { threads: 1 });
    const signal = AbortSignal.abort();
    expect(await failure(executable.run({ x: rows(5) }, {}, signal))).toMatchObject({ kind: 'cancelled' });
    await executable.release();
  });
});

describeWithNative(
  'nativeRuntime in bf16',
  () => {
    it('computes products in bfloat16 when asked', async () => {
      const x = rows(37);
      const exact = await (await nativeRuntime.compile(layer(), { threads: 1 })).run({ x });
      const executable = await nativeRuntime.compile(layer(), { threads: 1, precision: 'bf16' });
      const rounded = await executable.run({ x });
      const [a, b] = [exact.y.data as Float32Array, rounded.y.data as Float32Array];
      const error = Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
      const scale = Math.sqrt(a.reduce((sum, value) => sum + value ** 2, 0) / a.length);
      expect(error / scale).toBeGreaterThan(1e-4);
      expect(error / scale).toBeLessThan(2e-2);
      await executable.release();
    });
  },
  bf16Obstacle(),
);

describe('without the native runtime', () => {
  beforeAll(() => switchNative('off'));
  afterAll(() => switchNative('auto'));

  it('says why it is not there', async () => {
    const reason = 'The native runtime is turned off by configuration.';
    expect(await nativeRuntime.capabilities()).toMatchObject({ devices: [{ available: false, reason }] });
    expect(await failure(nativeRuntime.compile(layer()))).toMatchObject({
      kind: 'unsupported',
      code: 'runtime.native',
    });
    expect(bf16Obstacle()).toBe(reason);
  });

  it.each([ortRuntime, tfjsRuntime])('other runtimes refuse bf16 rather than compute in fp32 (%#)', async (runtime) => {
    expect(await failure(runtime.compile(layer(), { precision: 'bf16' }))).toMatchObject({ code: 'runtime.precision' });
  });
});
