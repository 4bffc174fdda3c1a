/**
 * @file Weights quantized in blocks of consecutive inputs, each with a scale (and zero point) of its own:
 * w' = S (q - Z), q = clip(round(w / S) + Z, 0, 2^b - 1).
 * Symmetric: Z = 2^(b-1). Asymmetric: S = (Rmax - Rmin) / (2^b - 1) and Z = round(-Rmin / S) over a range that holds 0.
 */
import { invalid } from '../errors';
import type { Tensor } from '../graph';
import { unsignedCode } from './affine';

export const BLOCK_BITS = [8, 6, 4] as const;
export type BlockBits = (typeof BLOCK_BITS)[number];

/** Inputs that share a scale: powers of two, as MatMulNBits wants them. */
export const BLOCK_SIZES = [16, 32, 64, 128, 256] as const;
export type BlockSize = (typeof BLOCK_SIZES)[number];

export interface BlockFormat {
  readonly bits: BlockBits;
  readonly block: BlockSize;
  readonly symmetric: boolean;
}

/** A [rows, columns] matrix, rows being outputs (of a table: entries) and columns inputs. */
export interface FloatMatrix {
  readonly rows: number;
  readonly columns: number;
  /** Row-major. */
  readonly values: Float32Array;
}

export interface BlockCodes extends BlockFormat {
  readonly rows: number;
  readonly columns: number;
  /** Blocks of a row; the last one may reach beyond the columns. */
  readonly blocks: number;
  /** [rows, blocks * block], in 0..2^bits - 1; the zero point beyond the columns. */
  readonly values: Uint8Array;
  /** [rows, blocks] */
  readonly scales: Float32Array;
  /** [rows, blocks]; 2^(bits - 1) throughout when symmetric. */
  readonly zeroPoints: Uint8Array;
  /** Frobenius norm of the rounding error over that of the matrix; 0 for a matrix of zeros. */
  readonly relativeError: number;
}

/** How a block's numbers become codes. */
export interface BlockGrid {
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * Rounds every weight to the nearest code.
 * @param scales [rows, blocks]: learned scales of a symmetric format; default: from each block's range.
 * @throws `quantize.not-finite`
 */
export function roundToBlocks(
  matrix: FloatMatrix,
  format: BlockFormat,
  name: string,
  scales?: Float32Array,
): BlockCodes {
  const zeroPoint = 2 ** (format.bits - 1);
  return fillBlocks(matrix, format, name, (row, codes, start, block) => {
    const grid = scales
      ? { scale: scales[block], zeroPoint }
      : fitGrid(row, start, Math.min(start + format.block, row.length), format);
    const end = Math.min(start + format.block, row.length);
    for (let i = start; i < end; i++) codes[i] = codeOf(row[i], grid, format.bits);
    return grid;
  });
}

/** The code of one number. */
export const codeOf = (weight: number, { scale, zeroPoint }: BlockGrid, bits: number): number =>
  unsignedCode(weight, scale, zeroPoint, (1 << bits) - 1);

/**
 * The grid for row[start..end). A symmetric grid is uneven, -2^(b-1)..2^(b-1) - 1: of the one that reaches the largest
 * number with its longer side and the one that holds it on both sides, that with the smaller squared error is taken.
 */
export function fitGrid(
  row: ArrayLike<number>,
  start: number,
  end: number,
  { bits, symmetric }: BlockFormat,
): BlockGrid {
  let [low, high] = [0, 0];
  for (let i = start; i < end; i++) {
    if (row[i] < low) low = row[i];
    if (row[i] > high) high = row[i];
  }
  const half = 2 ** (bits - 1);
  if (low === 0 && high === 0) return { scale: 1, zeroPoint: half };
  if (!symmetric) {
    const scale = Math.fround((high - low) / (2 * half - 1));
    return { scale, zeroPoint: Math.round(-low / scale) };
  }
  const extreme = -low > high ? low : high;
  const long = { scale: Math.fround(extreme / -half), zeroPoint: half };
  const even = { scale: Math.fround(Math.abs(extreme) / (half - 1)), zeroPoint: half };
  return squaredError(row, start, end, long, bits) <= squaredError(row, start, end, even, bits) ? long : even;
}

function squaredError(row: ArrayLike<number>, start: number, end: number, grid: BlockGrid, bits: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) {
    const error = row[i] - grid.scale * (codeOf(row[i], grid, bits) - grid.zeroPoint);
    sum += error * error;
  }
  return sum;
}

/** Codes a block of a row from column `start` on (`block` counts over the whole matrix) and says on which grid. */
type BlockCoder = (row: Float32Array, codes: Uint8Array, start: number, block: number) => BlockGrid;

function fillBlocks(matrix: FloatMatrix, format: BlockFormat, name: string, code: BlockCoder): BlockCodes {
  const result = emptyCodes(matrix, format);
  const { rows, columns, values: weights } = matrix;
  requireFinite(weights, name);
  for (let row = 0; row < rows; row++) {
    const own = weights.subarray(row * columns, (row + 1) * columns);
    const codes = rowOf(result, row);
    for (let k = 0; k < result.blocks; k++) {
      const block = row * result.blocks + k;
      const { scale, zeroPoint } = code(own, codes, k * format.block, block);
      result.scales[block] = scale;
      result.zeroPoints[block] = zeroPoint;
    }
  }
  padCodes(result);
  return { ...result, relativeError: relativeError(matrix, result) };
}

/** Codes of a matrix, all still 0. */
export function emptyCodes(
  { rows, columns }: FloatMatrix,
  { bits, block, symmetric }: BlockFormat,
): Omit<BlockCodes, 'relativeError'> {
  const blocks = Math.ceil(columns / block);
  return {
    bits,
    block,
    symmetric,
    rows,
    columns,
    blocks,
    values: new Uint8Array(rows * blocks * block),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  };
}

/** The codes of one row, padding included. */
export function rowOf({ values, blocks, block }: Omit<BlockCodes, 'relativeError'>, row: number): Uint8Array {
  return values.subarray(row * blocks * block, (row + 1) * blocks * block);
}

/** Lets the columns beyond the matrix stand for 0. */
export function padCodes(codes: Omit<BlockCodes, 'relativeError'>): void {
  const { rows, columns, blocks, zeroPoints } = codes;
  for (let row = 0; row < rows; row++) rowOf(codes, row).fill(zeroPoints[(row + 1) * blocks - 1], columns);
}

/** The matrix that the codes stand for. */
export function decodeBlocks(codes: Omit<BlockCodes, 'relativeError'>): FloatMatrix {
  const { rows, columns, blocks, block, scales, zeroPoints } = codes;
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const own = rowOf(codes, row);
    for (let i = 0; i < columns; i++) {
      const at = row * blocks + ((i / block) | 0);
      values[row * columns + i] = scales[at] * (own[i] - zeroPoints[at]);
    }
  }
  return { rows, columns, values };
}

/** Frobenius norm of matrix - decoded over that of the matrix. */
export function relativeError({ values }: FloatMatrix, codes: Omit<BlockCodes, 'relativeError'>): number {
  const { rows, columns, blocks, block, scales, zeroPoints } = codes;
  let [error, norm] = [0, 0];
  for (let row = 0; row < rows; row++) {
    const own = rowOf(codes, row);
    for (let i = 0; i < columns; i++) {
      const at = row * blocks + ((i / block) | 0);
      const weight = values[row * columns + i];
      const difference = weight - scales[at] * (own[i] - zeroPoints[at]);
      error += difference * difference;
      norm += weight * weight;
    }
  }
  return norm > 0 ? Math.sqrt(error / norm) : 0;
}

export function requireFinite(values: Float32Array, name: string): void {
  // The difference of a number and itself is 0 unless it is infinite or none.
  if (values.every((value) => value - value === 0)) return;
  throw invalid('quantize.not-finite', `Weight "${name}" holds NaN or infinity.`, { weight: name });
}

/** A weight as [outputs, inputs]; `transposed` says that it is stored so. */
export function outputRows(tensor: Tensor<'float32'>, transposed: boolean): FloatMatrix {
  const [first, second] = tensor.dims as [number, number];
  const { data } = tensor;
  if (transposed) return { rows: first, columns: second, values: data };
  const values = new Float32Array(data.length);
  for (let input = 0; input < first; input++) {
    for (let output = 0; output < second; output++) values[output * first + input] = data[input * second + output];
  }
  return { rows: second, columns: first, values };
}
