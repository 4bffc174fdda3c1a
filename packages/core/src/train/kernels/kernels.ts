/** @file The loops over parameter memory: one interface, a WebAssembly implementation and a JavaScript twin. */
import { KERNELS_BASE64 } from './kernels.generated';

/** Scalars of one AdamW step, with the bias corrections already folded in (see `adamwScalars`). */
export interface AdamwScalars {
  /** Factor on the gradient: 1 / micro-batches, times the clipping coefficient. */
  readonly scale: number;
  /** Factor on the weight: 1 - learningRate * decay. */
  readonly keep: number;
  readonly oneMinusBeta1: number;
  readonly beta2: number;
  readonly oneMinusBeta2: number;
  readonly stepSize: number;
  readonly epsilon: number;
}

/** Byte offsets, in one memory, of a run of parameters and of what the optimizer keeps for it. */
export interface AdamwAddresses {
  readonly weight: number;
  readonly gradient: number;
  readonly firstMoment: number;
  readonly secondMoment: number;
}

/** The addresses of what belongs to the parameters from element `first` of such a run. */
export const adamwAddresses = (
  { weight, gradient, firstMoment, secondMoment }: AdamwAddresses,
  first: number,
): AdamwAddresses => ({
  weight: weight + first * 4,
  gradient: gradient + first * 4,
  firstMoment: firstMoment + first * 4,
  secondMoment: secondMoment + first * 4,
});

/** Addresses are byte offsets into the memory that the kernels were made for; counts are float32 elements. */
export interface Kernels {
  /** Decoupled-decay Adam; see packages/core/assembly/kernels.ts for the equations. */
  adamw(at: AdamwAddresses, count: number, scalars: AdamwScalars): void;
  /** target += source */
  accumulate(target: number, source: number, count: number): void;
  /** target *= factor */
  scale(target: number, count: number, factor: number): void;
  /** average += rate * (source - average) */
  ema(average: number, source: number, count: number, rate: number): void;
  /** Sum of squares in double precision, in a fixed order; not finite when an element is not. */
  sumSquares(source: number, count: number): number;
  /** Clears the elements whose mask byte is 0. */
  mask(target: number, masks: number, count: number): void;
  /** Fills with `value` where a 16-bit draw of the stream `key` reaches `threshold` (0..65535), else 0. */
  dropoutMask(target: number, count: number, key: readonly [number, number], threshold: number, value: number): void;
}

/** What the compiled module exports: the kernels, with structured arguments laid flat. */
interface KernelExports {
  readonly adamw: (w: number, g: number, m: number, v: number, count: number, ...scalars: number[]) => void;
  readonly accumulate: (target: number, source: number, count: number) => void;
  readonly scale: (target: number, count: number, factor: number) => void;
  readonly ema: (average: number, source: number, count: number, rate: number) => void;
  readonly sumSquares: (source: number, count: number) => number;
  readonly mask: (target: number, masks: number, count: number) => void;
  readonly dropoutMask: (target: number, count: number, ...keyThresholdValue: number[]) => void;
}

let compiled: WebAssembly.Module | undefined;

/** The SIMD kernels over one memory. The module is compiled once per process, an instance costs microseconds. */
export function wasmKernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(Buffer.from(KERNELS_BASE64, 'base64'));
  const instance = new WebAssembly.Instance(compiled, { env: { memory } });
  const wasm = instance.exports as unknown as KernelExports;
  return {
    adamw: (at, count, s) =>
      wasm.adamw(
        at.weight,
        at.gradient,
        at.firstMoment,
        at.secondMoment,
        count,
        s.scale,
        s.keep,
        s.oneMinusBeta1,
        s.beta2,
        s.oneMinusBeta2,
        s.stepSize,
        s.epsilon,
      ),
    accumulate: wasm.accumulate,
    scale: wasm.scale,
    ema: wasm.ema,
    sumSquares: wasm.sumSquares,
    mask: wasm.mask,
    dropoutMask: (target, count, [key0, key1], threshold, value) =>
      wasm.dropoutMask(target, count, key0, key1, threshold, value),
  };
}
