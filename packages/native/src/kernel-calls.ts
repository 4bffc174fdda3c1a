/** @file Loops over the memory of parameters, as numbers that the addon reads. */
import { NativeError } from './errors';

/**
 * One loop over float32 memory, as in training. Addresses are byte offsets, counts are elements; equations and order of
 * sums are those of modelpress's own WebAssembly kernels, with equal bits.
 */
export type NativeKernelCall =
  | {
      readonly kernel: 'adamw';
      readonly at: {
        readonly weight: number;
        readonly gradient: number;
        readonly firstMoment: number;
        readonly secondMoment: number;
      };
      readonly count: number;
      readonly scalars: {
        readonly scale: number;
        readonly keep: number;
        readonly oneMinusBeta1: number;
        readonly beta2: number;
        readonly oneMinusBeta2: number;
        readonly stepSize: number;
        readonly epsilon: number;
      };
    }
  | { readonly kernel: 'accumulate'; readonly target: number; readonly source: number; readonly count: number }
  | { readonly kernel: 'scale'; readonly target: number; readonly count: number; readonly factor: number }
  | {
      readonly kernel: 'ema';
      readonly average: number;
      readonly source: number;
      readonly count: number;
      readonly rate: number;
    }
  | { readonly kernel: 'sumSquares'; readonly source: number; readonly count: number }
  | { readonly kernel: 'mask'; readonly target: number; readonly masks: number; readonly count: number }
  | {
      readonly kernel: 'dropoutMask';
      readonly target: number;
      readonly count: number;
      readonly key: readonly [number, number];
      readonly threshold: number;
      readonly value: number;
    };

/** The layout of native/addon/slabs.c: kernel, count, 4 addresses, 7 scalars. */
const ADDRESSES = 2;
const SCALARS = 6;
const CALL_NUMBERS = 13;

const NUMBERS: Readonly<Record<NativeKernelCall['kernel'], number>> = {
  adamw: 0,
  accumulate: 1,
  scale: 2,
  ema: 3,
  sumSquares: 4,
  mask: 5,
  dropoutMask: 6,
};

export function encodeCalls(calls: readonly NativeKernelCall[]): Float64Array {
  const numbers = new Float64Array(calls.length * CALL_NUMBERS);
  calls.forEach((call, i) => {
    const base = i * CALL_NUMBERS;
    const [addresses, scalars] = operandsOf(call);
    numbers[base] = NUMBERS[call.kernel];
    numbers[base + 1] = call.count;
    numbers.set(addresses, base + ADDRESSES);
    numbers.set(scalars, base + SCALARS);
  });
  return numbers;
}

function operandsOf(call: NativeKernelCall): [addresses: readonly number[], scalars: readonly number[]] {
  switch (call.kernel) {
    case 'adamw': {
      const { at, scalars: s } = call;
      return [
        [at.weight, at.gradient, at.firstMoment, at.secondMoment],
        [s.scale, s.keep, s.oneMinusBeta1, s.beta2, s.oneMinusBeta2, s.stepSize, s.epsilon],
      ];
    }
    case 'accumulate':
      return [[call.target, call.source], []];
    case 'scale':
      return [[call.target], [call.factor]];
    case 'ema':
      return [[call.average, call.source], [call.rate]];
    case 'sumSquares':
      return [[call.source], []];
    case 'mask':
      return [[call.target, call.masks], []];
    case 'dropoutMask':
      return [[call.target], [call.key[0] >>> 0, call.key[1] >>> 0, call.threshold, call.value]];
  }
}

/** Memory that can shrink could go away during a run. */
export function requireFixedMemory(memory: ArrayBuffer & { readonly resizable?: boolean }): void {
  if (memory.resizable) throw new NativeError('native.buffer', 'The memory of parameters can be resized.');
}
