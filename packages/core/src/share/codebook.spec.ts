import fc from 'fast-check';
import { Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import { ortRuntime } from '../runtime';
import { Random } from '../train/random';
import { codebookBytes, decoded, makeCodebook, recentred, relativeError, spread, sumByCentroid } from './codebook';
import type { Codebook } from './codebook';
import { storeAsCodebook } from './decode';
import { kMeans } from './kmeans';
import { packCodes, unpackCodes } from './pack';

const random = new Random(5);
const noise = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());

const errorOf = (values: Float32Array, { centroids, codes }: ReturnType<typeof kMeans>): number =>
  values.reduce((sum, value, i) => sum + (value - centroids[codes[i]]) ** 2, 0);

/** Least squared error over all ways to cut the sorted values into k runs. */
function optimum(values: Float32Array, k: number): number {
  const sorted = Array.from(values).sort((a, b) => a - b);
  const cost = (from: number, to: number): number => {
    const run = sorted.slice(from, to);
    const mean = run.reduce((sum, x) => sum + x, 0) / run.length;
    return run.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  };
  let best = sorted.map((_, end) => cost(0, end + 1));
  for (let clusters = 2; clusters <= k; clusters++) {
    best = best.map((whole, end) =>
      Math.min(whole, ...Array.from({ length: end }, (_, cut) => best[cut] + cost(cut + 1, end + 1))),
    );
  }
  return best.at(-1)!;
}

describe('kMeans', () => {
  it.each([2, 3, 5])('comes near to the best %i clusters, and finds separate ones exactly', (k) => {
    const values = noise(60);
    expect(errorOf(values, kMeans(values, k, new Random(1)))).toBeLessThan(1.15 * optimum(values, k));
    const apart = values.map((value, i) => 100 * (i % k) + 0.01 * value);
    const found = kMeans(apart, k, new Random(1));
    expect(errorOf(apart, found)).toBeCloseTo(optimum(apart, k), 4);
    expect([...found.codes].slice(0, k)).toEqual(Array.from({ length: k }, (_, i) => i));
  });

  it('gives every value its nearest centroid, which is the mean of its values', () => {
    const values = noise(1000);
    const { centroids, codes } = kMeans(values, 16, new Random(1));
    values.forEach((value, i) => {
      const distances = Array.from(centroids, (centroid) => Math.abs(value - centroid));
      expect(distances[codes[i]]).toBeCloseTo(Math.min(...distances), 6);
    });
    for (let c = 0; c < 16; c++) {
      const own = values.filter((_, i) => codes[i] === c);
      expect(own.reduce((sum, x) => sum + x, 0) / own.length).toBeCloseTo(centroids[c], 5);
    }
  });

  it('bears fewer different values than clusters', () => {
    const values = Float32Array.of(1, 1, 2, 1);
    expect(errorOf(values, kMeans(values, 8, new Random(1)))).toBe(0);
    expect(errorOf(Float32Array.of(3), kMeans(Float32Array.of(3), 2, new Random(1)))).toBe(0);
  });
});

describe('codebooks', () => {
  it('pack and unpack any codes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.nat(255), { maxLength: 40 }), (bits, list) => {
        const codes = Uint8Array.from(list, (code) => code % 2 ** bits);
        const packed = packCodes(codes, bits);
        expect(packed).toHaveLength(bits * Math.ceil(codes.length / 8));
        expect(unpackCodes(packed, bits, codes.length)).toEqual(codes);
      }),
    );
  });

  it('are nearer to the weight with more bits, and with tables for fewer rows', () => {
    const data = noise(16 * 32);
    const error = (bits: number, rowsPerGroup = 16): number =>
      relativeError(makeCodebook(data, { rows: 16, columns: 32, bits, rowsPerGroup }, 1), data);
    const errors = [1, 2, 3, 4, 5, 6].map((bits) => error(bits));
    expect(errors).toEqual([...errors].sort((a, b) => b - a));
    // Lloyd-Max quantizers of a Gaussian have the squared errors 0.363, 0.118, 0.035 and 0.0095 (Max 1960).
    [0.363, 0.118, 0.0345, 0.0095].forEach((expected, i) => expect(errors[i] ** 2 / expected).toBeGreaterThan(0.7));
    expect(errors[0] ** 2).toBeLessThan(0.4);
    expect(error(3, 4)).toBeLessThan(error(3));
    expect(codebookBytes({ rows: 16, columns: 32, bits: 3, rowsPerGroup: 4 })).toBe(192 + 4 * 4 * 8);
  });

  it('add gradients by centroid and spread values', () => {
    const book: Codebook = {
      rows: 3,
      columns: 2,
      bits: 1,
      rowsPerGroup: 2,
      centroids: Float32Array.of(-1, 1, 5, 6),
      codes: Uint8Array.of(0, 1, 1, 0, 0, 0),
    };
    expect([...decoded(book)]).toEqual([-1, 1, 1, -1, 5, 5]);
    expect([...sumByCentroid(book, Float32Array.of(1, 2, 4, 8, 16, 32))]).toEqual([9, 6, 48, 0]);
    const into = new Float32Array(6);
    spread(book, [10, 20, 30, 40], into);
    expect([...into]).toEqual([10, 20, 20, 10, 30, 30]);
    expect([...recentred(book, Float32Array.of(0, 2, 4, 2, 7, 9)).centroids]).toEqual([1, 3, 8, 6]);
  });

  it.each([
    [1, 4, 6, 4],
    [2, 3, 5, 3],
    [3, 8, 8, 3],
    [4, 5, 7, 2],
    [8, 4, 8, 4],
  ])(
    'of %i bits for %i x %i in groups of %i rows are decoded by ONNX Runtime',
    async (bits, rows, columns, rowsPerGroup) => {
      const data = noise(rows * columns);
      const graph = new Graph();
      const model = new Model(graph);
      const x = graph.addInput('x', 'float32', [2, rows]);
      const weight = graph.addInitializer('w', Tensor.float32([rows, columns], data));
      const y = new Value('y', { dtype: 'float32', shape: [2, columns] });
      graph.addNode(new Node('MatMul', ONNX_DOMAIN, 'y', [x, weight], [y]));
      graph.addOutput(y);
      const book = makeCodebook(data, { rows, columns, bits, rowsPerGroup }, 1);
      storeAsCodebook(model, weight, book);
      graph.sort();
      const input = noise(2 * rows);
      const executable = await ortRuntime.compile(model, { threads: 1 });
      const result = await executable.run({ x: { dtype: 'float32', dims: [2, rows], data: input } });
      await executable.release();
      const matrix = decoded(book);
      const expected = Float32Array.from({ length: 2 * columns }, (_, at) => {
        const [row, column] = [Math.floor(at / columns), at % columns];
        return Array.from({ length: rows }, (_, k) => input[row * rows + k] * matrix[k * columns + column]).reduce(
          (a, b) => a + b,
        );
      });
      expected.forEach((value, i) => expect((result.y.data as Float32Array)[i]).toBeCloseTo(value, 4));
    },
  );
});
