import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { Kernels } from './kernels';
import { wasmKernels } from './kernels';
import { referenceKernels } from './reference';
import { streamKey } from '../random';

/** Lays arrays out one after the other, with odd gaps, runs a kernel in both implementations and compares all bytes. */
function bothAgree(arrays: readonly Uint8Array[], run: (kernels: Kernels, addresses: number[]) => number | void): void {
  const outcome = (make: (memory: WebAssembly.Memory) => Kernels): { result: number | void; bytes: string } => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    let end = 4;
    const addresses = arrays.map((array) => {
      const address = end;
      new Uint8Array(memory.buffer).set(array, address);
      end = (address + array.length + 15) & ~3;
      return address;
    });
    const result = run(make(memory), addresses);
    return { result, bytes: Buffer.from(memory.buffer, 0, end).toString('hex') };
  };
  expect(outcome(wasmKernels)).toEqual(outcome(referenceKernels));
}

const bytesOf = (array: Float32Array | Int32Array | Uint8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const float = fc.float({ noNaN: true, min: -1000, max: 1000 });
const floats = (length: number, element = float): fc.Arbitrary<Uint8Array> =>
  fc.array(element, { minLength: length, maxLength: length }).map((values) => bytesOf(Float32Array.from(values)));
const count = fc.integer({ min: 0, max: 70 });
const positive = fc.float({ noNaN: true, min: 0, max: 1 });

describe('SIMD kernels equal their JavaScript twins bit for bit', () => {
  it('adamw', () => {
    const inputs = count.chain((n) =>
      fc.tuple(
        fc.constant(n),
        fc.tuple(floats(n), floats(n), floats(n), floats(n, positive)),
        fc.array(positive, { minLength: 7, maxLength: 7 }),
      ),
    );
    fc.assert(
      fc.property(inputs, ([n, arrays, [scale, keep, oneMinusBeta1, beta2, oneMinusBeta2, stepSize, epsilon]]) => {
        bothAgree(arrays, (kernels, [weight, gradient, firstMoment, secondMoment]) =>
          kernels.adamw(
            { weight: weight, gradient: gradient, firstMoment: firstMoment, secondMoment: secondMoment },
            n,
            {
              scale: scale,
              keep: keep,
              oneMinusBeta1: oneMinusBeta1,
              beta2: beta2,
              oneMinusBeta2: oneMinusBeta2,
              stepSize: stepSize,
              epsilon: Math.max(epsilon, 1e-8),
            },
          ),
        );
      }),
    );
  });

  it('accumulate, ema, scale, sumSquares', () => {
    const inputs = count.chain((n) => fc.tuple(fc.constant(n), fc.tuple(floats(n), floats(n)), positive));
    fc.assert(
      fc.property(inputs, ([n, arrays, rate]) => {
        bothAgree(arrays, (kernels, [a, b]) => kernels.accumulate(a, b, n));
        bothAgree(arrays, (kernels, [a, b]) => kernels.ema(a, b, n, rate));
        bothAgree(arrays, (kernels, [a]) => kernels.scale(a, n, rate));
        bothAgree(arrays, (kernels, [a]) => kernels.sumSquares(a, n));
      }),
    );
  });

  it('mask', () => {
    const inputs = count.chain((n) =>
      fc.tuple(fc.constant(n), floats(n), fc.uint8Array({ minLength: n, maxLength: n, max: 1 })),
    );
    fc.assert(
      fc.property(inputs, ([n, values, masks]) =>
        bothAgree([values, masks], (kernels, [target, mask]) => kernels.mask(target, mask, n)),
      ),
    );
  });

  it('dropoutMask', () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(count, word, word, fc.integer({ min: 0, max: 65535 }), (n, key0, key1, threshold) =>
        bothAgree([new Uint8Array(n * 4)], (kernels, [target]) =>
          kernels.dropoutMask(target, n, [key0, key1], threshold, 1.25),
        ),
      ),
    );
  });
});

describe('kernels', () => {
  it('mask clears NaN and keeps signed zero', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const values = new Float32Array(memory.buffer, 0, 5);
    values.set([NaN, -0, 3, Infinity, NaN]);
    new Uint8Array(memory.buffer, 64, 5).set([0, 1, 1, 0, 0]);
    wasmKernels(memory).mask(0, 64, 5);
    expect([...values]).toEqual([0, -0, 3, 0, 0]);
  });

  it('sumSquares tells a NaN and an infinity anywhere', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const values = new Float32Array(memory.buffer, 0, 19);
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (let i = 0; i < values.length; i++) {
        values.fill(1);
        values[i] = bad;
        expect(Number.isFinite(wasmKernels(memory).sumSquares(0, 19))).toBe(false);
      }
    }
  });

  it('works above 2 GiB', () => {
    const memory = new WebAssembly.Memory({ initial: 40000 });
    const high = 39990 * 65536;
    const values = new Float32Array(memory.buffer, high, 6).fill(2);
    wasmKernels(memory).scale(high, 6, 1.5);
    expect([...values]).toEqual([3, 3, 3, 3, 3, 3]);
  });

  it('dropout masks have the right mean, and neighbouring elements, streams and steps are uncorrelated', () => {
    const n = 1 << 18;
    const memory = new WebAssembly.Memory({ initial: (2 * n * 4) / 65536 });
    const kernels = wasmKernels(memory);
    const [a, b] = [new Float32Array(memory.buffer, 0, n), new Float32Array(memory.buffer, n * 4, n)];
    const threshold = 0.1 * 65536;
    const correlation = (x: Float32Array, y: Float32Array, lag: number): number => {
      let sum = 0;
      for (let i = 0; i + lag < n; i++) sum += (x[i] - 0.9) * (y[i + lag] - 0.9);
      return sum / (n - lag) / 0.09;
    };
    for (const [key, other] of [
      [streamKey(0, 1, 0), streamKey(0, 1, 1)],
      [streamKey(7, 1, 0), streamKey(7, 2, 0)],
      [streamKey(7, 1, 0), streamKey(8, 1, 0)],
    ] as const) {
      kernels.dropoutMask(0, n, key, threshold, 1);
      kernels.dropoutMask(n * 4, n, other, threshold, 1);
      // Five standard errors: sqrt(0.09 / n) for the mean, 1 / sqrt(n) for a correlation.
      expect(Math.abs(a.reduce((sum, x) => sum + x, 0) / n - 0.9)).toBeLessThan(5 * Math.sqrt(0.09 / n));
      for (const lag of [1, 2, 3, 4, 8, 64, 1024])
        expect(Math.abs(correlation(a, a, lag))).toBeLessThan(5 / Math.sqrt(n));
      for (const lag of [0, 1, 2]) expect(Math.abs(correlation(a, b, lag))).toBeLessThan(5 / Math.sqrt(n));
    }
  });

  it('are what their committed source compiles to', () => {
    const script = join(__dirname, '..', '..', '..', '..', '..', 'tools', 'build-kernels.mjs');
    expect(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })).not.toThrow();
  });
});
