/** @file Pruned models that are really faster: sparse products in the native runtime. */
export { accelerate } from './accelerate';
export type { Accelerated, AcceleratedWeight, AccelerateOptions } from './accelerate';
export { packSparse, SPARSE_PATTERNS, storedShare } from './pack';
export type { DenseWeight, SparsePattern } from './pack';
export type { ProductForm } from './trial';
