/** @file The loops of DAN training: one interface, a WebAssembly implementation (the twin is reference.ts). */
import { KERNELS_BASE64 } from './kernels.generated';
import type { AdamwScalars } from '../train/kernels/kernels';

/** Addresses are byte offsets into the memory that the kernels were made for; see packages/core/assembly/dan.ts. */
export interface DanTrainingKernels {
  poolSum(table: number, ids: number, offsets: number, texts: number, width: number, out: number): void;
  poolMax(table: number, ids: number, offsets: number, texts: number, width: number, out: number): void;
  rowDots(
    table: number,
    ids: number,
    offsets: number,
    texts: number,
    width: number,
    vectors: number,
    vectorStride: number,
    out: number,
  ): void;
  poolWeighted(
    table: number,
    ids: number,
    offsets: number,
    texts: number,
    width: number,
    weights: number,
    out: number,
  ): void;
  updateRows(at: RowUpdate, width: number, scalars: AdamwScalars): void;
  product(x: number, w: number, bias: number, inputs: number, outputs: number, out: number, rows: number): void;
  transpose(x: number, rows: number, columns: number, out: number): void;
  reluMask(x: number, masks: number, count: number): void;
  reluGradient(active: number, gradient: number, count: number, factor: number): void;
  sumRows(x: number, rows: number, width: number, out: number): void;
}

/** Addresses that `updateRows` reads, and how many rows it touches. */
export interface RowUpdate {
  readonly weight: number;
  readonly firstMoment: number;
  readonly secondMoment: number;
  readonly rows: number;
  readonly starts: number;
  readonly texts: number;
  readonly count: number;
  readonly gradients: number;
  /** Of maximum pooling, else 0. */
  readonly pooled: number;
  /** Of attentive pooling, else 0. */
  readonly query: number;
  readonly alphas: number;
  readonly betas: number;
}

type KernelExports = Omit<DanTrainingKernels, 'updateRows'> & {
  readonly updateRows: (w: number, m: number, v: number, rows: number, starts: number, ...rest: number[]) => void;
};

let compiled: WebAssembly.Module | undefined;

/** The SIMD kernels over one memory. The module is compiled once per process. */
export function danKernels(memory: WebAssembly.Memory): DanTrainingKernels {
  compiled ??= new WebAssembly.Module(Buffer.from(KERNELS_BASE64, 'base64'));
  const wasm = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as KernelExports;
  return {
    ...wasm,
    updateRows: (at, width, s) =>
      wasm.updateRows(
        at.weight,
        at.firstMoment,
        at.secondMoment,
        at.rows,
        at.starts,
        at.texts,
        at.count,
        at.gradients,
        at.pooled,
        at.query,
        at.alphas,
        at.betas,
        width,
        s.keep,
        s.oneMinusBeta1,
        s.beta2,
        s.oneMinusBeta2,
        s.stepSize,
        s.epsilon,
      ),
  };
}
