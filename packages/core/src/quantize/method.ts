/** @file What quantization can be asked for, with everything that was learned from data. */
import type { BlockCodes, BlockFormat } from './blocks';
import type { EmissionForm } from './emit';
import type { ActivationGrid } from './static';

/** Int8 weights; activations are quantized while the model runs. */
export interface DynamicMethod {
  readonly kind: 'dynamic';
  readonly form: EmissionForm;
  /** Learned scales by weight, one per output. */
  readonly scales?: ReadonlyMap<string, Float32Array>;
}

/** Int8 weights; activations are quantized on grids that calibration or training found. */
export interface StaticMethod {
  readonly kind: 'static';
  /** By name of the value; every product's input, and its output where `outputs` is int8. */
  readonly grids: ReadonlyMap<string, ActivationGrid>;
  /** Whether products give float numbers (MatMulIntegerToFloat) or int8 ones again (QLinearMatMul). */
  readonly outputs: 'float' | 'int8';
  readonly scales?: ReadonlyMap<string, Float32Array>;
}

/** How exactly MatMulNBits computes: float32, or activations quantized to int8 in blocks. */
export const ACCURACY_LEVELS = { float32: 1, int8: 4 } as const;

/** Weights of 8, 6 or 4 bits in blocks; activations stay float. */
export interface WeightOnlyMethod extends BlockFormat {
  readonly kind: 'weight-only';
  readonly compute: keyof typeof ACCURACY_LEVELS;
  /** Codes by weight, as [outputs, inputs], that were found with data; others are rounded to the nearest. */
  readonly codes?: ReadonlyMap<string, BlockCodes>;
}

/** Weights stored in half precision and read as float32. */
export interface HalfMethod {
  readonly kind: 'fp16';
}

export type QuantizeMethod = DynamicMethod | StaticMethod | WeightOnlyMethod | HalfMethod;
