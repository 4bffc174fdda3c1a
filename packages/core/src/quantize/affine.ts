/** @file Symmetric affine quantization of a matrix: q = round(w / s), w' = q * s, zero point 0. */
import { invalid } from '../errors';

/** Which index of a [rows, columns] matrix has a scale of its own. */
export type ChannelAxis = 'rows' | 'columns';

export interface QuantizedMatrix {
  /** [rows, columns], in -levels..levels. */
  readonly values: Int8Array;
  /** One scale per channel; 1 for a channel of zeros. */
  readonly scales: Float32Array;
  /** Frobenius norm of the rounding error over that of the matrix; 0 for a matrix of zeros. */
  readonly relativeError: number;
}

/** Largest integer of the symmetric range of `bits` bits: 127 for 8. */
export const symmetricLevels = (bits: number): number => 2 ** (bits - 1) - 1;

/**
 * Adding and subtracting 1.5 * 2^52 rounds a double of magnitude below 2^51 to the nearest integer, ties to even:
 * there the spacing of doubles is 1. It is the IEEE rounding that onnxruntime and numpy use, and faster than Math.round.
 */
const ROUNDING = 6755399441055744;

/**
 * Quantizes a row-major float matrix to `bits` (2..8) bits with one scale per row or column, s = max|w| / levels.
 * Arithmetic is float32 with ties to even, so the integers equal those of onnxruntime's quantizer.
 * @param name names the matrix in errors.
 * @throws `quantize.not-finite` if an element is NaN or infinite.
 */
export function quantizeSymmetric(
  weights: Float32Array,
  columns: number,
  axis: ChannelAxis,
  name: string,
  bits = 8,
): QuantizedMatrix {
  const rows = columns === 0 ? 0 : weights.length / columns;
  const levels = symmetricLevels(bits);
  const largest = axis === 'rows' ? largestOfRows(weights, rows, columns) : largestOfColumns(weights, rows, columns);
  const scales = largest.map((max) => (max > 0 ? max / levels : 1));
  const values = new Int8Array(weights.length);
  let errorSquared = 0;
  let normSquared = 0;
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, i++) {
      const weight = weights[i];
      const scale = axis === 'rows' ? scales[row] : scales[column];
      const rounded = Math.fround(weight / scale) + ROUNDING - ROUNDING;
      // max / levels is rounded itself and may be denormal, so the quotient can leave the range by a step.
      const value = rounded > levels ? levels : rounded < -levels ? -levels : rounded;
      values[i] = value;
      const error = weight - value * scale;
      errorSquared += error * error;
      normSquared += weight * weight;
    }
  }
  if (!Number.isFinite(normSquared)) {
    throw invalid('quantize.not-finite', `Weight "${name}" holds NaN or infinity.`, { weight: name });
  }
  return { values, scales, relativeError: normSquared > 0 ? Math.sqrt(errorSquared / normSquared) : 0 };
}

/** max|w| of each row. */
function largestOfRows(weights: Float32Array, rows: number, columns: number): Float32Array {
  const largest = new Float32Array(rows);
  for (let row = 0, i = 0; row < rows; row++) {
    let max = 0;
    for (let column = 0; column < columns; column++, i++) {
      const magnitude = Math.abs(weights[i]);
      if (magnitude > max) max = magnitude;
    }
    largest[row] = max;
  }
  return largest;
}

/** max|w| of each column. */
function largestOfColumns(weights: Float32Array, rows: number, columns: number): Float32Array {
  const largest = new Float32Array(columns);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, i++) {
      const magnitude = Math.abs(weights[i]);
      if (magnitude > largest[column]) largest[column] = magnitude;
    }
  }
  return largest;
}

/** The transpose of a row-major [rows, columns] byte matrix, in blocks that fit the first-level cache. */
export function transposeBytes(values: Int8Array, rows: number, columns: number): Int8Array {
  const result = new Int8Array(values.length);
  const block = 64;
  for (let top = 0; top < rows; top += block) {
    for (let left = 0; left < columns; left += block) {
      const bottom = Math.min(top + block, rows);
      const right = Math.min(left + block, columns);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) result[column * rows + row] = values[row * columns + column];
      }
    }
  }
  return result;
}
