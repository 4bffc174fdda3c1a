/** @file Symmetric affine quantization of a matrix: q = round(w / s), w' = q * s, zero point 0. */
import { invalid } from '../errors';
import type { Tensor } from '../graph';

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

/** The nearest integer to a number of magnitude below 2^51, ties to even. */
export const roundHalfEven = (x: number): number => x + ROUNDING - ROUNDING;

/** The code of one number: clip(round(x / scale) + zeroPoint, 0, most). */
export function unsignedCode(x: number, scale: number, zeroPoint: number, most: number): number {
  const code = roundHalfEven(x / scale) + zeroPoint;
  return code < 0 ? 0 : code > most ? most : code;
}

export interface SymmetricOptions {
  /** Default 8. */
  readonly bits?: number;
  /** Learned scales, one per channel, in place of max|w| / levels; larger weights saturate. */
  readonly scales?: Float32Array | undefined;
}

/**
 * Quantizes a float matrix to `bits` (2..8) bits with one scale per row or column, s = max|w| / levels. Arithmetic is
 * float32 with ties to even, so the integers equal those of onnxruntime's quantizer. Weights are read row by row, so
 * no copy of an unaligned tensor is made.
 * @param name names the matrix in errors.
 * @throws `quantize.not-finite` if an element is NaN or infinite.
 */
export function quantizeSymmetric(
  matrix: Tensor<'float32'>,
  axis: ChannelAxis,
  name: string,
  { bits = 8, scales: given }: SymmetricOptions = {},
): QuantizedMatrix {
  const rows = new RowReader(matrix);
  const levels = symmetricLevels(bits);
  const { largest, normSquared } = axis === 'rows' ? measureRows(rows) : measureColumns(rows);
  if (!Number.isFinite(normSquared)) {
    throw invalid('quantize.not-finite', `Weight "${name}" holds NaN or infinity.`, { weight: name });
  }
  const scales = given ?? largest.map((max) => (max > 0 ? max / levels : 1));
  const values = new Int8Array(matrix.size);
  const rowScales = axis === 'columns' ? scales : new Float32Array(rows.columns);
  let errorSquared = 0;
  for (let row = 0; row < rows.count; row++) {
    if (axis === 'rows') rowScales.fill(scales[row]);
    errorSquared += roundRow(rows.read(row), rowScales, levels, values, row * rows.columns);
  }
  return { values, scales, relativeError: normSquared > 0 ? Math.sqrt(errorSquared / normSquared) : 0 };
}

/** Rows of a matrix, one at a time in an aligned buffer that is reused. */
class RowReader {
  readonly count: number;
  readonly columns: number;
  private readonly row: Float32Array;
  private readonly rowBytes: Uint8Array;

  constructor(private readonly matrix: Tensor<'float32'>) {
    [this.count, this.columns] = matrix.dims;
    this.row = new Float32Array(this.columns);
    this.rowBytes = new Uint8Array(this.row.buffer);
  }

  read(row: number): Float32Array {
    const { byteLength } = this.rowBytes;
    this.rowBytes.set(this.matrix.bytes.subarray(row * byteLength, (row + 1) * byteLength));
    return this.row;
  }
}

/** max|w| of each channel and the squared Frobenius norm, which is not finite if any element is not. */
interface Magnitudes {
  readonly largest: Float32Array;
  readonly normSquared: number;
}

function measureRows(rows: RowReader): Magnitudes {
  const largest = new Float32Array(rows.count);
  let normSquared = 0;
  for (let row = 0; row < rows.count; row++) {
    let max = 0;
    for (const weight of rows.read(row)) {
      const magnitude = Math.abs(weight);
      if (magnitude > max) max = magnitude;
      normSquared += weight * weight;
    }
    largest[row] = max;
  }
  return { largest, normSquared };
}

function measureColumns(rows: RowReader): Magnitudes {
  const largest = new Float32Array(rows.columns);
  let normSquared = 0;
  for (let row = 0; row < rows.count; row++) normSquared += raiseToRow(rows.read(row), largest);
  return { largest, normSquared };
}

/** largest[c] = max(largest[c], |row[c]|); returns the row's summed squares. */
function raiseToRow(row: Float32Array, largest: Float32Array): number {
  let squares = 0;
  for (let column = 0; column < row.length; column++) {
    const weight = row[column];
    const magnitude = Math.abs(weight);
    if (magnitude > largest[column]) largest[column] = magnitude;
    squares += weight * weight;
  }
  return squares;
}

/** Rounds a row into `values` from `start` on; returns its summed squared error. */
function roundRow(row: Float32Array, scales: Float32Array, levels: number, values: Int8Array, start: number): number {
  let errorSquared = 0;
  for (let column = 0; column < row.length; column++) {
    const weight = row[column];
    const scale = scales[column];
    const rounded = roundHalfEven(Math.fround(weight / scale));
    // max / levels is rounded itself and may be denormal, so the quotient can leave the range by a step.
    const value = rounded > levels ? levels : rounded < -levels ? -levels : rounded;
    values[start + column] = value;
    const error = weight - value * scale;
    errorSquared += error * error;
  }
  return errorSquared;
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
