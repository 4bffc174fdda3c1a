/** @file One weight as codes into a table of 2^b centroids (Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3). */
import { Random } from '../train/random';
import { kMeans } from './kmeans';

/** A matrix [rows, columns] as codes. */
export interface Codebook {
  readonly rows: number;
  readonly columns: number;
  readonly bits: number;
  /** Rows that share a table; the last group may have fewer. */
  readonly rowsPerGroup: number;
  /** [groups * 2^bits], ascending within a group. */
  readonly centroids: Float32Array;
  /** [rows * columns], 0 .. 2^bits - 1. */
  readonly codes: Uint8Array;
}

/** Groups of rows, each with its own table. */
export const groupsOf = ({ rows, rowsPerGroup }: Pick<Codebook, 'rows' | 'rowsPerGroup'>): number =>
  Math.ceil(rows / rowsPerGroup);

/** Bytes of codes and centroids. */
export const codebookBytes = (book: Pick<Codebook, 'rows' | 'columns' | 'bits' | 'rowsPerGroup'>): number =>
  book.bits * Math.ceil((book.rows * book.columns) / 8) + 4 * groupsOf(book) * 2 ** book.bits;

/** Clusters a weight's values. @param data [rows, columns] */
export function makeCodebook(
  data: Float32Array,
  shape: Pick<Codebook, 'rows' | 'columns' | 'bits' | 'rowsPerGroup'>,
  seed: number,
): Codebook {
  const { columns, bits, rowsPerGroup } = shape;
  const groups = groupsOf(shape);
  const random = new Random(seed);
  const centroids = new Float32Array(groups * 2 ** bits);
  const codes = new Uint8Array(data.length);
  for (let group = 0; group < groups; group++) {
    const start = group * rowsPerGroup * columns;
    const found = kMeans(data.subarray(start, start + rowsPerGroup * columns), 2 ** bits, random);
    centroids.set(found.centroids, group * 2 ** bits);
    codes.set(found.codes, start);
  }
  return { ...shape, centroids, codes };
}

/** The matrix that the codes stand for. */
export function decoded(book: Codebook): Float32Array {
  const values = new Float32Array(book.codes.length);
  forEachCode(book, (at, centroid) => (values[at] = book.centroids[centroid]));
  return values;
}

/** Sums values by centroid: the gradient of a centroid is the sum of its weights' gradients. */
export function sumByCentroid(book: Codebook, values: Float32Array): Float64Array {
  const sums = new Float64Array(book.centroids.length);
  forEachCode(book, (at, centroid) => (sums[centroid] += values[at]));
  return sums;
}

/** Gives every weight the value of its centroid. */
export function spread(book: Codebook, byCentroid: ArrayLike<number>, into: Float32Array): void {
  forEachCode(book, (at, centroid) => (into[at] = byCentroid[centroid]));
}

/** The book with each centroid at the mean of its weights' present values; those of no weight stay. */
export function recentred(book: Codebook, values: Float32Array): Codebook {
  const sums = sumByCentroid(book, values);
  const counts = sumByCentroid(book, new Float32Array(values.length).fill(1));
  return { ...book, centroids: book.centroids.map((old, c) => (counts[c] === 0 ? old : sums[c] / counts[c])) };
}

/** Frobenius norm of the difference to the codes' matrix, over that of the weight; 0 for a weight of zeros. */
export function relativeError(book: Codebook, data: Float32Array): number {
  let [error, total] = [0, 0];
  forEachCode(book, (at, centroid) => {
    error += (data[at] - book.centroids[centroid]) ** 2;
    total += data[at] ** 2;
  });
  return total === 0 ? 0 : Math.sqrt(error / total);
}

function forEachCode(
  { columns, bits, rowsPerGroup, codes }: Codebook,
  visit: (at: number, centroid: number) => void,
): void {
  const groupSize = rowsPerGroup * columns;
  for (let start = 0, offset = 0; start < codes.length; start += groupSize, offset += 2 ** bits) {
    const end = Math.min(codes.length, start + groupSize);
    for (let at = start; at < end; at++) visit(at, offset + codes[at]);
  }
}
