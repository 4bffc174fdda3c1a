/** @file Matrices with many zeros in fewer bytes: which tiles are kept, and their values. Exact to the bit. */
import { invalid } from '../errors';

/** What is kept as a unit: 1x1 for single weights and n-of-m, else the blocks that were pruned. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** How the places of kept tiles are written; tiles are counted row by row. */
export const PLACES = ['bitmask', 'csr'] as const;
export type Places = (typeof PLACES)[number];

export interface PackedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly tile: Tile;
  readonly places: Places;
  /**
   * bitmask: one bit a tile, the lowest bit of a byte first, 1 = kept.
   * csr: for each row of tiles the end of its tiles (uint32), then the column of each kept tile (uint16).
   */
  readonly index: Uint8Array;
  /** Of the kept tiles one after the other, each row by row. */
  readonly values: Float32Array;
}

/** CSR columns are 16 bits. */
const MAX_CSR_TILES = 2 ** 16;

/**
 * Packs a row-major matrix that divides into tiles; a tile is left out if every bit of it is 0. The places are written
 * as bitmask or CSR, whichever is smaller.
 */
export function packMatrix(data: Float32Array, rows: number, columns: number, tile: Tile): PackedMatrix {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const [down, across] = [rows / tile.rows, columns / tile.columns];
  const area = tile.rows * tile.columns;
  const kept: number[] = [];
  for (let t = 0; t < down * across; t++) if (!isZeroTile(bits, columns, tile, t, across)) kept.push(t);
  const values = new Float32Array(kept.length * area);
  kept.forEach((t, k) => copyTile(data, values.subarray(k * area, (k + 1) * area), columns, tile, t, across, false));
  const maskBytes = Math.ceil((down * across) / 8);
  const csrBytes = 4 * down + 2 * kept.length;
  const places = across <= MAX_CSR_TILES && csrBytes < maskBytes ? 'csr' : 'bitmask';
  const index = places === 'csr' ? csrOf(kept, down, across) : maskOf(kept, maskBytes);
  return { rows, columns, tile, places, index, values };
}

/** The matrix, row-major. @throws invalid `sparse.corrupt` when its parts do not fit together */
export function unpackMatrix({ rows, columns, tile, places, index, values }: PackedMatrix): Float32Array {
  const [down, across] = [rows / tile.rows, columns / tile.columns];
  const area = tile.rows * tile.columns;
  const kept = places === 'csr' ? keptFromCsr(index, down, across) : keptFromMask(index, down * across);
  if (!kept || kept.length * area !== values.length) {
    throw invalid('sparse.corrupt', `A packed matrix [${rows}, ${columns}] has places and values that do not fit.`);
  }
  const data = new Float32Array(rows * columns);
  kept.forEach((t, k) => copyTile(data, values.subarray(k * area, (k + 1) * area), columns, tile, t, across, true));
  return data;
}

/** Bytes before compression. */
export const packedBytes = ({ index, values }: PackedMatrix): number => index.byteLength + values.byteLength;

function isZeroTile(bits: Uint32Array, columns: number, tile: Tile, t: number, across: number): boolean {
  const first = Math.floor(t / across) * tile.rows * columns + (t % across) * tile.columns;
  for (let row = 0; row < tile.rows; row++) {
    for (let i = first + row * columns; i < first + row * columns + tile.columns; i++) if (bits[i] !== 0) return false;
  }
  return true;
}

/** Moves one tile between the matrix and its own array. */
function copyTile(
  matrix: Float32Array,
  own: Float32Array,
  columns: number,
  tile: Tile,
  t: number,
  across: number,
  intoMatrix: boolean,
): void {
  const first = Math.floor(t / across) * tile.rows * columns + (t % across) * tile.columns;
  for (let row = 0; row < tile.rows; row++) {
    const inMatrix = matrix.subarray(first + row * columns, first + row * columns + tile.columns);
    const inOwn = own.subarray(row * tile.columns, (row + 1) * tile.columns);
    if (intoMatrix) inMatrix.set(inOwn);
    else inOwn.set(inMatrix);
  }
}

function maskOf(kept: readonly number[], bytes: number): Uint8Array {
  const mask = new Uint8Array(bytes);
  for (const t of kept) mask[t >> 3] |= 1 << (t & 7);
  return mask;
}

function keptFromMask(mask: Uint8Array, tiles: number): number[] | undefined {
  if (mask.length !== Math.ceil(tiles / 8)) return undefined;
  const kept: number[] = [];
  for (let t = 0; t < tiles; t++) if (mask[t >> 3] & (1 << (t & 7))) kept.push(t);
  return kept;
}

function csrOf(kept: readonly number[], down: number, across: number): Uint8Array {
  const index = new DataView(new ArrayBuffer(4 * down + 2 * kept.length));
  const ends = new Uint32Array(down);
  kept.forEach((t, k) => {
    ends[Math.floor(t / across)]++;
    index.setUint16(4 * down + 2 * k, t % across, true);
  });
  let end = 0;
  ends.forEach((count, row) => index.setUint32(4 * row, (end += count), true));
  return new Uint8Array(index.buffer);
}

function keptFromCsr(index: Uint8Array, down: number, across: number): number[] | undefined {
  if (index.length < 4 * down) return undefined;
  const view = new DataView(index.buffer, index.byteOffset, index.length);
  const kept: number[] = [];
  let begin = 0;
  for (let row = 0; row < down; row++) {
    const end = view.getUint32(4 * row, true);
    if (end < begin || 4 * down + 2 * end > index.length) return undefined;
    for (let k = begin; k < end; k++) kept.push(row * across + view.getUint16(4 * down + 2 * k, true));
    begin = end;
  }
  return 4 * down + 2 * begin === index.length ? kept : undefined;
}
