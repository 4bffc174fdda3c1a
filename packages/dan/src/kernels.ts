import { KERNELS_BASE64 } from './kernels.generated';
import { KERNELS_BASE64 as SHARED_KERNELS_BASE64 } from './kernels-shared.generated';

/** Exports of assembly/dan.ts; addresses are bytes. */
export interface DanKernels {
  tokenize(text: number, length: number, hashes: number): number;
  lookup(
    hashes: number,
    tokens: number,
    minOrder: number,
    maxOrder: number,
    displacements: number,
    buckets: number,
    fingerprints: number,
    slots: number,
    rows: number,
  ): number;
  gatherF32(table: number, rows: number, count: number, width: number, out: number, factor: number): void;
  gatherI8(table: number, rows: number, count: number, width: number, out: number, factor: number): void;
  maxF32(table: number, rows: number, count: number, width: number, out: number): void;
  scoresF32(table: number, rows: number, count: number, width: number, query: number, out: number): void;
  scoresI8(table: number, rows: number, count: number, width: number, query: number, out: number): void;
  weighF32(table: number, rows: number, count: number, width: number, weights: number, out: number): void;
  weighI8(table: number, rows: number, count: number, width: number, weights: number, out: number): void;
  dense(x: number, weights: number, bias: number, inputs: number, outputs: number, out: number, batch: number): void;
  relu(x: number, count: number): void;
}

type Build = 'own' | 'shared';
const BYTES: Readonly<Record<Build, string>> = { own: KERNELS_BASE64, shared: SHARED_KERNELS_BASE64 };
const compiled: Partial<Record<Build, WebAssembly.Module>> = {};

/** The kernels over a memory. Each module is compiled once. @param build whether the memory is shared between threads */
export function instantiate(memory: WebAssembly.Memory, build: Build = 'own'): DanKernels {
  compiled[build] ??= new WebAssembly.Module(Uint8Array.from(atob(BYTES[build]), (byte) => byte.charCodeAt(0)));
  return new WebAssembly.Instance(compiled[build], { env: { memory } }).exports as unknown as DanKernels;
}
