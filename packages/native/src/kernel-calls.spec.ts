import { describeNative, nativeLibrary, values } from '../test/support';
import type { NativeErrorCode, NativeKernelCall } from '.';

describeNative('runCalls', () => {
  const library = nativeLibrary();
  const memory = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);
  const code = (promise: Promise<unknown>): Promise<NativeErrorCode> =>
    promise.then(
      () => Promise.reject(new Error('expected an error')),
      (error: { code: NativeErrorCode }) => error.code,
    );

  it('adds results in the order of the calls, on any number of threads', async () => {
    const buffer = memory(4 * 40_000);
    new Float32Array(buffer).set(values(40_000));
    const calls: NativeKernelCall[] = Array.from({ length: 400 }, (_, i) => {
      return { kernel: 'sumSquares', source: 400 * i, count: 100 };
    });
    const exact = values(40_000).reduce((sum, x) => sum + x * x, 0);
    const sums = await Promise.all([1, 2, 3, 1000].map((threads) => library.runCalls(buffer, calls, threads)));
    expect(new Set(sums).size).toBe(1);
    expect(Math.abs(sums[0]! - exact)).toBeLessThan(1e-9 * exact);
    expect(await library.runCalls(buffer, [], 2)).toBe(0);
  });

  it('leaves the event loop free and keeps the memory alive meanwhile', async () => {
    const calls: NativeKernelCall[] = Array.from({ length: 200 }, () => ({
      kernel: 'dropoutMask',
      target: 0,
      count: 1 << 20,
      key: [1, 2],
      threshold: 0,
      value: 3,
    }));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await library.runCalls(memory(4 << 20), calls, 1);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });

  it('refuses calls that leave the memory, or lie askew in it', async () => {
    const scale = { kernel: 'scale', target: 0, count: 4, factor: 2 } as const;
    const bad: NativeKernelCall[] = [
      { ...scale, target: 4 },
      { ...scale, count: 5 },
      { ...scale, target: 2, count: 1 },
      { ...scale, target: -4 },
      { ...scale, target: NaN },
      { ...scale, target: 2 ** 60 },
      { ...scale, count: 2 ** 62 },
      { ...scale, count: 0.5 },
      { kernel: 'mask', target: 0, masks: 13, count: 4 },
      { kernel: 'dropoutMask', target: 0, count: 1, key: [0.5, 1], threshold: 2 ** 33, value: 1 },
    ];
    for (const call of bad) {
      const buffer = memory(16);
      new Float32Array(buffer).fill(1);
      expect(await code(library.runCalls(buffer, [scale, call], 1))).toBe('native.argument');
      expect([...new Float32Array(buffer)]).toEqual([1, 1, 1, 1]);
    }
    expect(await code(library.runCalls(memory(16), [scale], 0))).toBe('native.argument');
    const shared = new SharedArrayBuffer(16) as unknown as ArrayBuffer;
    expect(await code(library.runCalls(shared, [scale], 1))).toBe('native.buffer');
    const resizable = Reflect.construct(ArrayBuffer, [16, { maxByteLength: 32 }]) as ArrayBuffer;
    expect(await code(library.runCalls(resizable, [scale], 1))).toBe('native.buffer');
    const detached = memory(16);
    structuredClone(detached, { transfer: [detached] });
    expect(await code(library.runCalls(detached, [scale], 1))).toBe('native.argument');
  });
});
