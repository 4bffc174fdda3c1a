import { KERNELS_BASE64 } from './kernels.generated';

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
  dense(x: number, weights: number, bias: number, inputs: number, outputs: number, out: number, batch: number): void;
  relu(x: number, count: number): void;
}

let compiled: WebAssembly.Module | undefined;

/** The kernels over a memory. The module is compiled once. */
export function instantiate(memory: WebAssembly.Memory): DanKernels {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(KERNELS_BASE64), (character) => character.charCodeAt(0)));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as DanKernels;
}
