import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import {
  ADDON,
  chainModel,
  describeNative,
  nativeLibrary,
  nodeModel,
  numbersOf,
  tensor,
  values,
} from '../test/support';
import type { NativeSession } from '.';

/** Lets a worker load the sources. */
const TYPESCRIPT = ['--require', join(__dirname, '..', '..', '..', 'tools', 'register-typescript.cjs')];

const add = (shape: readonly (number | string)[] = [2, 3]): Uint8Array =>
  nodeModel({ op: 'Add', inputs: { a: { shape }, b: { shape } }, outputs: { sum: { shape } } });

/** Side of a matrix whose product takes some milliseconds. */
const SIDE = 400;
const matrix = tensor([SIDE, SIDE], values(SIDE * SIDE));

describeNative('a native session', () => {
  const library = nativeLibrary();
  const open: NativeSession[] = [];
  const compile = async (model: Uint8Array | string, threads = 1): Promise<NativeSession> => {
    const session = await library.createSession(model, { threads });
    open.push(session);
    return session;
  };
  afterEach(() => {
    for (const session of open.splice(0)) session.release();
  });
  const a = tensor([2, 3], [1, 2, 3, 4, 5, 6]);
  const b = tensor([2, 3], [10, 20, 30, 40, 50, 60]);
  const sum = [11, 22, 33, 44, 55, 66];

  it('describes its inputs and outputs, dynamic dimensions by name', async () => {
    const session = await compile(add(['batch', 3]));
    expect(session.inputs).toEqual([
      { name: 'a', type: 1, dims: ['batch', 3] },
      { name: 'b', type: 1, dims: ['batch', 3] },
    ]);
    expect(session.outputs).toEqual([{ name: 'sum', type: 1, dims: ['batch', 3] }]);
    const [output] = await session.run([a, b], [null]);
    expect(output).toEqual({ type: 1, dims: [2, 3], data: expect.anything() });
    expect(numbersOf(output!.data)).toEqual(sum);
  });

  it('writes into memory of the caller and hands back those very tensors', async () => {
    const session = await compile(add());
    const whole = new Float32Array(10).fill(-1);
    const into = { type: 1, dims: [2, 3], data: whole.subarray(2, 8) };
    for (let i = 0; i < 3; i++) {
      const [output] = await session.run([a, b], [into]);
      expect(output).toBe(into);
    }
    expect([...whole]).toEqual([-1, -1, ...sum, -1, -1]);
  });

  it('reads and writes SharedArrayBuffers', async () => {
    const session = await compile(add());
    const shared = new Float32Array(new SharedArrayBuffer(12 * 4));
    shared.set(numbersOf(a.data));
    const from = { type: 1, dims: [2, 3], data: shared.subarray(0, 6) };
    const into = { type: 1, dims: [2, 3], data: shared.subarray(6) };
    await session.run([from, b], [into]);
    expect([...into.data]).toEqual(sum);
    shared[0] = 100; // the same tensor, other contents
    await session.run([from, b], [into]);
    expect(into.data[0]).toBe(110);
  });

  it('takes scalars, tensors without elements and other element types', async () => {
    const scalars = await compile(add([]));
    expect(numbersOf((await scalars.run([tensor([], [1]), tensor([], [2])], [null]))[0]!.data)).toEqual([3]);
    const empty = await compile(add(['n']));
    const [none] = await empty.run([tensor([0], []), tensor([0], [])], [null]);
    expect(none).toMatchObject({ dims: [0] });
    expect(none!.data).toHaveLength(0);
    const wide = await compile(
      nodeModel({
        op: 'Add',
        inputs: { a: { dtype: 'int64', shape: [1] }, b: { dtype: 'int64', shape: [1] } },
        outputs: { y: { dtype: 'int64', shape: [1] } },
      }),
    );
    const big = { type: 7, dims: [1], data: BigInt64Array.of(2n ** 60n) };
    expect((await wide.run([big, big], [null]))[0]!.data[0]).toBe(2n ** 61n);
  });

  it('reads a model from a path and says what is wrong with a bad one', async () => {
    await expect(compile('/nowhere/model.onnx')).rejects.toMatchObject({ name: 'NativeError', code: 'ort.3' });
    await expect(compile(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({ code: expect.stringMatching(/^ort\./) });
    await expect(compile(new Uint8Array())).rejects.toMatchObject({ code: 'native.argument' });
    await expect(
      compile(nodeModel({ op: 'NoSuchOp', inputs: { a: { shape: [1] } }, outputs: { y: { shape: [1] } } })),
    ).rejects.toThrow('NoSuchOp');
    await expect(library.createSession(add(), { threads: 1, cpu: 'abacus' })).rejects.toMatchObject({
      code: 'native.cpu',
    });
  });

  it('refuses memory that does not fit', async () => {
    const session = await compile(add());
    const run = (input: typeof a): Promise<unknown> => session.run([input, b], [null]);
    await expect(run({ ...a, data: new Float32Array(5) })).rejects.toMatchObject({ code: 'native.buffer' });
    await expect(run({ ...a, data: new Float32Array(7) })).rejects.toMatchObject({ code: 'native.buffer' });
    await expect(run({ ...a, data: new Float64Array(6) })).rejects.toMatchObject({ code: 'native.buffer' });
    await expect(run({ ...a, data: new Uint8Array(24) })).rejects.toMatchObject({ code: 'native.buffer' });
    await expect(run({ ...a, dims: [2, -3] })).rejects.toMatchObject({ code: 'native.argument' });
    await expect(run({ ...a, dims: [2 ** 40, 2 ** 40] })).rejects.toMatchObject({ code: 'native.argument' });
    await expect(run({ ...a, dims: Array.from({ length: 20 }, () => 1) })).rejects.toMatchObject({
      code: 'native.argument',
    });
    await expect(run({ ...a, type: 99 })).rejects.toMatchObject({ code: 'native.type' });
    await expect(run({ ...a, dims: [6] })).rejects.toThrow('Invalid rank');
    await expect(run({ ...a, dims: [3, 2] })).rejects.toMatchObject({ code: 'ort.2' });
    await expect(session.run([a], [null])).rejects.toThrow('"b" is missing');
    await expect(session.run([a, b], [tensor([3, 2], values(6))])).rejects.toMatchObject({ code: 'ort.2' });
    await expect(session.run([a, b], [{ ...b, data: new Float32Array(2) }])).rejects.toMatchObject({
      code: 'native.buffer',
    });
    expect(numbersOf((await session.run([a, b], [null]))[0]!.data)).toEqual(sum);
  });

  it('refuses memory that was detached or can be resized', async () => {
    const session = await compile(add());
    const detached = tensor([2, 3], values(6));
    await session.run([detached, b], [null]);
    structuredClone(detached.data.buffer, { transfer: [detached.data.buffer as ArrayBuffer] });
    await expect(session.run([detached, b], [null])).rejects.toMatchObject({ code: 'native.buffer' });
    const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer;
    const data = new Float32Array(new Resizable(24, { maxByteLength: 48 }));
    await expect(session.run([{ ...a, data }, b], [null])).rejects.toThrow('can be resized');
  });

  it('leaves the event loop free', async () => {
    const session = await compile(chainModel(SIDE, 10));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for (let i = 0; i < 5; i++) await session.run([matrix], [null]);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(5);
  });

  it('runs several at once, each on its own memory', async () => {
    const session = await compile(add(['n']));
    const outputs = await Promise.all(
      Array.from({ length: 20 }, (_, i) => session.run([tensor([2], [i, i]), tensor([2], [1, 2])], [null])),
    );
    expect(outputs.map(([output]) => numbersOf(output!.data))).toEqual(
      Array.from({ length: 20 }, (_, i) => [i + 1, i + 2]),
    );
  });

  it('ends a run when its signal says so, and runs again afterwards', async () => {
    const session = await compile(chainModel(SIDE, 50));
    const controller = new AbortController();
    const running = session.run([matrix], [null], controller.signal);
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'native.cancelled' });
    await expect(session.run([matrix], [null], controller.signal)).rejects.toMatchObject({ code: 'native.cancelled' });
    expect(await session.run([matrix], [null])).toHaveLength(1);
  });

  it('can be released during a run, whose outputs stay', async () => {
    const session = await compile(chainModel(SIDE, 2));
    const running = session.run([matrix], [null]);
    session.release();
    session.release();
    const [output] = await running;
    expect(numbersOf(output!.data).every(Number.isFinite)).toBe(true);
    await expect(session.run([matrix], [null])).rejects.toMatchObject({ code: 'native.released' });
  });

  it('works in worker threads, and ends with them', async () => {
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { NativeLibrary } = require(workerData.package);
      async function main() {
        const session = await new NativeLibrary(workerData).createSession(workerData.model, { threads: 1 });
        const input = { type: 1, dims: [${SIDE}, ${SIDE}], data: workerData.matrix };
        const [output] = await session.run([input], [null]);
        parentPort.postMessage(output.data[7]);
        void session.run([input], [null]); // under way when the worker is stopped
      }
      void main();`;
    const session = await compile(chainModel(SIDE, 3));
    const expected = (await session.run([matrix], [null]))[0]!.data[7];
    const workerData = {
      package: join(__dirname, 'index.ts'),
      addon: ADDON,
      model: chainModel(SIDE, 3),
      matrix: matrix.data,
    };
    const workers = Array.from(
      { length: 2 },
      () => new Worker(script, { eval: true, workerData, execArgv: TYPESCRIPT }),
    );
    const results = await Promise.all(workers.map(async (worker) => ((await once(worker, 'message')) as [number])[0]));
    expect(results).toEqual([expected, expected]);
    await Promise.all(workers.map((worker) => worker.terminate()));
    expect(workers.map(({ threadId }) => threadId)).toEqual([-1, -1]);
  });

  it('holds no memory after 10,000 runs', async () => {
    const session = await compile(add(['n']));
    const run = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const x = { type: 1, dims: [2500], data: new Float32Array(2500) };
        await session.run([x, x], [null]);
      }
    };
    const cycle = async (): Promise<void> => {
      const other = await library.createSession(add(), { threads: 1 });
      await other.run([a, b], [null]);
      other.release();
    };
    await run(2000);
    const before = process.memoryUsage().rss;
    await run(10_000); // 200 MB of inputs and outputs
    for (let i = 0; i < 100; i++) await cycle();
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });
});
