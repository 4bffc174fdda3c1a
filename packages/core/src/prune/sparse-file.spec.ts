import fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Graph, Model, Tensor } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { writeModel } from '../onnx';
import { packMatrix, unpackMatrix } from './packed-matrix';
import { readPackedMatrices, readSparseFile, writeSparseFile } from './sparse-file';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelpress-sparse-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const TILES = [
  { rows: 1, columns: 1 },
  { rows: 1, columns: 4 },
  { rows: 4, columns: 1 },
  { rows: 2, columns: 3 },
];

/** A matrix of whole tiles, any of them zero; values include -0, infinities, NaN and denormals. */
const matrix = fc
  .record({
    tile: fc.constantFrom(...TILES),
    down: fc.integer({ min: 1, max: 12 }),
    across: fc.integer({ min: 1, max: 12 }),
  })
  .chain(({ tile, down, across }) =>
    fc.record({
      tile: fc.constant(tile),
      rows: fc.constant(down * tile.rows),
      columns: fc.constant(across * tile.columns),
      share: fc.constantFrom(0, 0.02, 0.5, 1),
      values: fc.float32Array({
        minLength: down * across * tile.rows * tile.columns,
        maxLength: down * across * tile.rows * tile.columns,
      }),
      seeds: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
        minLength: down * across,
        maxLength: down * across,
      }),
    }),
  )
  .map(({ tile, rows, columns, share, values, seeds }) => ({
    tile,
    rows,
    columns,
    data: values.map((value, i) => {
      const t = Math.floor(Math.floor(i / columns) / tile.rows) * (columns / tile.columns);
      return seeds[t + Math.floor((i % columns) / tile.columns)] < share ? value : 0;
    }),
  }));

const bitsOf = (data: Float32Array): Uint32Array => new Uint32Array(data.buffer, data.byteOffset, data.length);

describe('packed matrices', () => {
  it('unpack to the same bits, whatever the tiles', () => {
    fc.assert(
      fc.property(matrix, ({ tile, rows, columns, data }) => {
        const packed = packMatrix(data, rows, columns, tile);
        expect(bitsOf(unpackMatrix(packed))).toEqual(bitsOf(data));
      }),
    );
  });

  it('write places as CSR where few are kept and as bitmask where many are', () => {
    const data = new Float32Array(64 * 64);
    data[5] = 1;
    expect(packMatrix(data, 64, 64, TILES[0]).places).toBe('csr');
    expect(packMatrix(data.fill(1), 64, 64, TILES[0]).places).toBe('bitmask');
  });

  it('say so when places and values do not fit', () => {
    const packed = packMatrix(Float32Array.of(0, 1, 2, 0), 2, 2, TILES[0]);
    expect(() => unpackMatrix({ ...packed, values: packed.values.subarray(1) })).toThrow(/do not fit/);
    expect(() => unpackMatrix({ ...packed, places: 'csr' })).toThrow(/do not fit/);
  });
});

function model(data: Float32Array, rows: number, columns: number): Model {
  const build = new GraphBuilder(new Model(new Graph('one')));
  const x = build.input('x', 'float32', ['batch', rows]);
  const product = build.op('MatMul', [x, build.parameter('w', Tensor.float32([rows, columns], data))]);
  const bias = build.parameter('b', Tensor.float32([columns], new Float32Array(columns)));
  build.output(build.op('Add', [product, bias]), 'y');
  return build.model;
}

describe('model.sparse', () => {
  it('gives back the ONNX file byte for byte', async () => {
    const path = join(folder, 'property.sparse');
    await fc.assert(
      fc.asyncProperty(matrix, async ({ tile, rows, columns, data }) => {
        const before = model(data, rows, columns);
        await writeSparseFile(path, before, tile);
        expect(Buffer.from(writeModel(await readSparseFile(path))).equals(writeModel(before))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('is smaller, and hands out its packed matrices', async () => {
    const data = Float32Array.from({ length: 128 * 128 }, (_, i) => (i % 10 === 0 ? Math.sin(i) : 0));
    const path = join(folder, 'small.sparse');
    const before = model(data, 128, 128);
    const bytes = await writeSparseFile(path, before, { rows: 1, columns: 1 });
    expect(bytes).toBe(readFileSync(path).byteLength);
    expect(bytes).toBeLessThan(writeModel(before).byteLength / 5);
    const packed = await readPackedMatrices(path);
    expect([...packed.keys()]).toEqual(['w']);
    expect(unpackMatrix(packed.get('w')!)).toEqual(data);
  });

  it.each([
    ['sparse.corrupt', (file: Buffer) => file.subarray(0, 10)],
    ['sparse.corrupt', (file: Buffer) => Buffer.concat([Buffer.from('X'), file.subarray(1)])],
    ['sparse.corrupt', (file: Buffer) => file.subarray(0, file.length - 40)],
    ['sparse.version', (file: Buffer) => Buffer.concat([file.subarray(0, 8), Buffer.from([9]), file.subarray(9)])],
  ])('that is not whole or not known is refused as %s', async (code, damage) => {
    const path = join(folder, 'damaged.sparse');
    const data = Float32Array.from({ length: 1024 }, (_, i) => (i % 4 ? 0 : i));
    await writeSparseFile(path, model(data, 32, 32), { rows: 1, columns: 1 });
    writeFileSync(path, damage(readFileSync(path)));
    await expect(readSparseFile(path)).rejects.toMatchObject({ code });
  });
});
