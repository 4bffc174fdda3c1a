/** @file Rows and columns of matrices. */
import { Tensor } from '../graph';

/**
 * Keeps rows and columns of a matrix, in the given order; -1 becomes zeros, undefined keeps all. A vector is one row.
 * @param tensor [rows, columns] or [columns]
 */
export function slice(
  { dims, data }: Pick<Tensor<'float32'>, 'dims' | 'data'>,
  keptRows: readonly number[] | undefined,
  keptColumns: readonly number[] | undefined,
): Tensor<'float32'> {
  const columns = dims.at(-1)!;
  const width = keptColumns?.length ?? columns;
  const height = keptRows?.length ?? (dims.length === 1 ? 1 : dims[0]);
  const order = keptColumns && Int32Array.from(keptColumns);
  const sliced = new Float32Array(height * width);
  for (let i = 0; i < height; i++) {
    const row = keptRows ? keptRows[i] : i;
    if (row < 0) continue;
    const [from, to] = [row * columns, i * width];
    if (!order) sliced.set(data.subarray(from, from + columns), to);
    else {
      for (let j = 0; j < width; j++) {
        const column = order[j];
        sliced[to + j] = column < 0 ? 0 : data[from + column];
      }
    }
  }
  return Tensor.float32(dims.length === 1 ? [width] : [height, width], sliced);
}
