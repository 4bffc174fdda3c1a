/** @file Words as a teacher sees them, in the width of a student. */
import type { Bundle } from '../bundle';
import { loadTokenizer } from '../text';
import { Random } from '../train/random';
import { columnMeans, wordVectors } from './word-vectors';

const NEEDED = { field: 'student.start', instead: 'set it to "random"' };
/** Words whose vectors are remembered. */
const REMEMBERED = 50_000;

/**
 * A function from words to vectors of `dimension` with a root mean square of about 1: the sum of a word's rows in the
 * teacher's embedding table without what all rows have in common, normalised, and projected by a random matrix, which
 * keeps angles (Johnson & Lindenstrauss 1984).
 * @throws unsupported `distill.word-vectors` for a teacher without float32 word vectors
 */
export async function teacherWords(
  folder: string,
  bundle: Pick<Bundle, 'model' | 'manifest'>,
  dimension: number,
  seed: number,
): Promise<(word: string) => Float32Array> {
  const tokenizer = await loadTokenizer(folder);
  const table = wordVectors(bundle, tokenizer, NEEDED);
  const means = columnMeans(table);
  const [, width] = table.dims;
  const { data } = table;
  const random = new Random(seed + 2);
  const projection = Float32Array.from({ length: width * dimension }, () => random.normal());
  const remembered = new Map<string, Float32Array>();
  return (word) => {
    const known = remembered.get(word);
    if (known) return known;
    const sum = new Float64Array(width);
    // Inside a text a word follows a space, which some tokenizers make part of the token.
    for (const id of tokenizer.encode(` ${word}`, undefined, { specialTokens: false }).ids) {
      for (let i = 0; i < width; i++) sum[i] += data[id * width + i] - means[i];
    }
    const length = Math.sqrt(sum.reduce((total, x) => total + x * x, 0)) || 1;
    const vector = new Float32Array(dimension);
    for (let i = 0; i < width; i++) {
      const factor = sum[i] / length;
      for (let k = 0; k < dimension; k++) vector[k] += factor * projection[i * dimension + k];
    }
    if (remembered.size >= REMEMBERED) remembered.clear();
    remembered.set(word, vector);
    return vector;
  };
}
