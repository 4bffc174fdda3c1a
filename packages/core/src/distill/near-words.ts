/** @file Words that a model takes for nearly the same: neighbours among its word vectors. */
import type { Bundle } from '../bundle';
import { throwIfAborted } from '../errors';
import { Graph, Model, Tensor } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { ortRuntime } from '../runtime';
import type { Tokenizer } from '../text';
import { wordVectors } from './word-vectors';

/** Words that are one token; of a large vocabulary its beginning, where the frequent ones stand. */
const MOST_WORDS = 40_000;
const QUERIES = 512;
const NEEDED = { field: 'augment.by', instead: 'leave "replace" out' };
const WORD = /^[\p{L}\p{M}]{2,}$/u;

/** Near words by word, lower case as they stand in the vocabulary, nearest first. */
export type NearWords = ReadonlyMap<string, readonly string[]>;

/**
 * The `count` nearest other words of every word that the tokenizer keeps whole, by the cosine of their rows in the
 * model's embedding table: of a pretrained model these are words of the same kind ("france": "germany", "italy" ...).
 * @throws unsupported `distill.word-vectors` for a model without float word vectors
 */
export async function nearWords(
  bundle: Pick<Bundle, 'model' | 'manifest'>,
  tokenizer: Tokenizer,
  count: number,
  { threads, signal }: { readonly threads: number; readonly signal: AbortSignal },
): Promise<NearWords> {
  const { words, ids } = wholeWords(tokenizer);
  const vectors = unitRows(wordVectors(bundle, tokenizer, NEEDED), ids);
  const k = Math.min(count, words.length - 1);
  const near = new Map<string, readonly string[]>();
  if (k < 1) return near;
  const executable = await ortRuntime.compile(nearestGraph(vectors, k + 1), { threads });
  try {
    const [rows, width] = vectors.dims;
    for (let first = 0; first < rows; first += QUERIES) {
      // The engine blocks this thread: give cancellation a turn.
      await new Promise(setImmediate);
      throwIfAborted(signal);
      const queries = Math.min(QUERIES, rows - first);
      const data = vectors.data.subarray(first * width, (first + queries) * width);
      const { nearest } = await executable.run({ query: { dtype: 'float32', dims: [queries, width], data } });
      for (let i = 0; i < queries; i++) {
        const row = Array.from({ length: k + 1 }, (_, j) => Number(nearest.data[i * (k + 1) + j]));
        const others = row.filter((other) => other !== first + i).slice(0, k);
        near.set(
          words[first + i],
          others.map((other) => words[other]),
        );
      }
    }
  } finally {
    await executable.release();
  }
  return near;
}

/** query [q, width] -> nearest [q, k]: positions of the rows with the largest products. */
function nearestGraph(vectors: Tensor<'float32'>, k: number): Model {
  const model = new Model(new Graph());
  const build = new GraphBuilder(model);
  const [rows, width] = vectors.dims;
  const turned = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) turned[i * rows + row] = vectors.data[row * width + i];
  }
  const query = build.input('query', 'float32', ['queries', width]);
  const cosines = build.op('MatMul', [query, build.constant(Tensor.float32([width, rows], turned))], {}, 'cosines');
  const [, nearest] = build.ops('TopK', [cosines, build.int64s([k])], { axis: -1 }, 2);
  build.output(nearest, 'nearest');
  return model;
}

/** Words that are one token, in the order of their ids. */
function wholeWords(tokenizer: Tokenizer): { words: string[]; ids: number[] } {
  const words: string[] = [];
  const ids: number[] = [];
  for (let id = 0; id < tokenizer.vocabularySize && words.length < MOST_WORDS; id++) {
    const word = tokenizer.decode([id]).trim();
    if (!WORD.test(word)) continue;
    // Inside a text a word follows a space, which some tokenizers make part of the token.
    const encoded = tokenizer.encode(` ${word}`, undefined, { specialTokens: false }).ids;
    if (encoded.length !== 1 || encoded[0] !== id) continue;
    words.push(word);
    ids.push(id);
  }
  return { words, ids };
}

/** Chosen rows, each of length one. */
function unitRows(table: Tensor<'float32'>, ids: readonly number[]): Tensor<'float32'> {
  const width = table.dims[1];
  const { data } = table;
  const rows = new Float32Array(ids.length * width);
  ids.forEach((id, row) => {
    const vector = data.subarray(id * width, (id + 1) * width);
    const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0)) || 1;
    for (let i = 0; i < width; i++) rows[row * width + i] = vector[i] / length;
  });
  return Tensor.float32([ids.length, width], rows);
}
