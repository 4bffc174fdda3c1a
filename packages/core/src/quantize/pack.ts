/** @file Block codes as the bytes that a file stores. */
import { Tensor } from '../graph';
import type { BlockCodes } from './blocks';

/**
 * 8 bit: a byte a code, 4 bit: two codes a byte, low nibble first; both [rows, columns * bits / 8], padding included.
 * 6 bit: [rows, 3, columns / 4], three bytes for four codes. With the codes of a row cut into quarters a, b, c, d, the
 * planes are 4a + (d >> 4), 4b + (d >> 2 & 3) and 4c + (d & 3): unpacked to 8-bit codes 4a, 4b, 4c, 4d by three masks.
 */
export function packCodes({ bits, rows, blocks, block, values }: BlockCodes): Tensor<'uint8'> {
  const columns = blocks * block;
  switch (bits) {
    case 8:
      return Tensor.of('uint8', [rows, columns], values);
    case 4:
      return Tensor.of('uint8', [rows, columns / 2], packNibbles(values));
    case 6:
      return Tensor.of('uint8', [rows, 3, columns / 4], packPlanes(values, rows, columns));
  }
}

/** Zero points as MatMulNBits and GatherBlockQuantized read them, [rows, blocks]; of 6-bit codes four times as large. */
export function packZeroPoints({ bits, rows, blocks, zeroPoints }: BlockCodes): Tensor<'uint8'> {
  if (bits !== 4)
    return Tensor.of('uint8', [rows, blocks], bits === 8 ? zeroPoints : zeroPoints.map((zero) => 4 * zero));
  const width = Math.ceil(blocks / 2);
  const padded = new Uint8Array(rows * width * 2);
  for (let row = 0; row < rows; row++) {
    padded.set(zeroPoints.subarray(row * blocks, (row + 1) * blocks), row * width * 2);
  }
  return Tensor.of('uint8', [rows, width], packNibbles(padded));
}

const packNibbles = (values: Uint8Array): Uint8Array =>
  Uint8Array.from({ length: values.length / 2 }, (_, i) => values[2 * i] | (values[2 * i + 1] << 4));

function packPlanes(values: Uint8Array, rows: number, columns: number): Uint8Array {
  const quarter = columns / 4;
  const planes = new Uint8Array(rows * 3 * quarter);
  for (let row = 0; row < rows; row++) {
    const from = row * columns;
    const to = row * 3 * quarter;
    for (let i = 0; i < quarter; i++) {
      const last = values[from + 3 * quarter + i];
      planes[to + i] = (values[from + i] << 2) | (last >> 4);
      planes[to + quarter + i] = (values[from + quarter + i] << 2) | ((last >> 2) & 3);
      planes[to + 2 * quarter + i] = (values[from + 2 * quarter + i] << 2) | (last & 3);
    }
  }
  return planes;
}
