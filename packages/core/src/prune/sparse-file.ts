/**
 * @file model.sparse: a model with many zeros in a file that is small on disk and in transfer.
 *
 * Layout, all numbers little endian:
 *   `MPSPARSE`, uint32 version (1), uint32 header length, header (JSON, `Header` below), body (Brotli).
 * The decompressed body holds, at the offsets that the header gives: the ONNX file with the packed matrices filled with
 * zeros, and of each packed matrix its index and its values (`PackedMatrix`). Values are stored as four planes: all
 * lowest bytes, then the next, because signs and exponents compress well and mantissas do not. Brotli, because every
 * Node has it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress, constants } from 'node:zlib';
import { z } from 'zod';
import { invalid, ModelpressError } from '../errors';
import { clone, Tensor } from '../graph';
import type { Model } from '../graph';
import { readModel, writeModel } from '../onnx';
import { packedBytes, packMatrix, PLACES, unpackMatrix } from './packed-matrix';
import type { PackedMatrix, Tile } from './packed-matrix';

export const SPARSE_FILE = 'model.sparse';

const MAGIC = Buffer.from('MPSPARSE');
const VERSION = 1;
const PREFIX_BYTES = MAGIC.length + 8;

const size = z.int().min(0);
const span = z.tuple([size, size]).describe('Offset and length in the decompressed body.');
const headerSchema = z.object({
  onnx: span,
  matrices: z.array(
    z.object({
      name: z.string(),
      rows: size,
      columns: size,
      tile: z.object({ rows: z.int().min(1), columns: z.int().min(1) }),
      places: z.enum(PLACES),
      index: span,
      values: span,
    }),
  ),
});
type Header = z.infer<typeof headerSchema>;

/** Trained weights hardly compress beyond their planes: the highest quality is one percent smaller and far slower. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };

/**
 * Writes a model; matrices that are smaller packed than plain are packed.
 * @param tile what was pruned as a unit; matrices that do not divide are packed by single weights
 * @returns bytes of the file
 */
export async function writeSparseFile(path: string, model: Model, tile: Tile): Promise<number> {
  const skeleton = clone(model);
  const packed = new Map<string, PackedMatrix>();
  for (const value of skeleton.graph.initializers) {
    const matrix = pack(value.constant!, tile);
    if (!matrix) continue;
    packed.set(value.name, matrix);
    value.constant = Tensor.float32(value.constant!.dims, new Float32Array(value.constant!.size));
  }
  const parts: Uint8Array[] = [];
  let offset = 0;
  const place = (part: Uint8Array): [number, number] => {
    parts.push(part);
    offset += part.byteLength;
    return [offset - part.byteLength, part.byteLength];
  };
  const header: Header = {
    onnx: place(writeModel(skeleton)),
    matrices: [...packed].map(([name, { rows, columns, tile: unit, places, index, values }]) => ({
      name,
      rows,
      columns,
      tile: unit,
      places,
      index: place(index),
      values: place(planes(values)),
    })),
  };
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(VERSION, 0);
  prefix.writeUInt32LE(json.length, 4);
  const body = await promisify(brotliCompress)(Buffer.concat(parts), BROTLI);
  const file = Buffer.concat([MAGIC, prefix, json, body]);
  await writeFile(path, file);
  return file.byteLength;
}

/**
 * Reads what `writeSparseFile` wrote: the model with every weight as it was, bit for bit.
 * @throws invalid `sparse.corrupt`, `sparse.version`; the errors of `readModel`
 */
export async function readSparseFile(path: string): Promise<Model> {
  const file = await readFile(path);
  const { header, body } = await parts(file);
  const part = ([start, length]: readonly [number, number]): Uint8Array => {
    if (start + length > body.length) throw corrupt('a part lies outside of it');
    return body.subarray(start, start + length);
  };
  const model = readModel(part(header.onnx));
  for (const { name, index, values, ...matrix } of header.matrices) {
    const value = model.graph.values.get(name);
    if (value?.constant?.dims.join() !== [matrix.rows, matrix.columns].join()) {
      throw corrupt(`the model has no matrix "${name}" of its shape`);
    }
    const data = unpackMatrix({ ...matrix, index: part(index), values: fromPlanes(part(values)) });
    value.constant = Tensor.float32([matrix.rows, matrix.columns], data);
  }
  return model;
}

/** A packed matrix by itself, for kernels that multiply without unpacking. @throws as `readSparseFile` */
export async function readPackedMatrices(path: string): Promise<Map<string, PackedMatrix>> {
  const { header, body } = await parts(await readFile(path));
  return new Map(
    header.matrices.map(({ name, index, values, ...matrix }) => {
      const part = ([start, length]: readonly [number, number]): Uint8Array => body.subarray(start, start + length);
      return [name, { ...matrix, index: part(index), values: fromPlanes(part(values)) }];
    }),
  );
}

async function parts(file: Buffer): Promise<{ header: Header; body: Buffer }> {
  if (file.length < PREFIX_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw corrupt('it does not start like one');
  }
  const version = file.readUInt32LE(MAGIC.length);
  if (version !== VERSION) {
    throw invalid('sparse.version', `The sparse file has version ${version}; this release reads ${VERSION}.`);
  }
  const length = file.readUInt32LE(MAGIC.length + 4);
  try {
    const header = headerSchema.parse(JSON.parse(file.toString('utf8', PREFIX_BYTES, PREFIX_BYTES + length)));
    return { header, body: await promisify(brotliDecompress)(file.subarray(PREFIX_BYTES + length)) };
  } catch (cause) {
    throw corrupt('its header or body cannot be read', cause);
  }
}

/** The packed form of a matrix, where it is smaller than the matrix. */
function pack(tensor: Tensor, tile: Tile): PackedMatrix | undefined {
  if (!tensor.is('float32') || tensor.dims.length !== 2) return undefined;
  const [rows, columns] = tensor.dims;
  const divides = rows % tile.rows === 0 && columns % tile.columns === 0;
  const packed = packMatrix(tensor.data, rows, columns, divides ? tile : { rows: 1, columns: 1 });
  return packedBytes(packed) < tensor.bytes.byteLength ? packed : undefined;
}

function planes(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[(i & 3) * values.length + (i >> 2)] = bytes[i];
  return out;
}

function fromPlanes(stored: Uint8Array): Float32Array {
  const values = new Float32Array(Math.floor(stored.length / 4));
  const bytes = new Uint8Array(values.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = stored[(i & 3) * values.length + (i >> 2)];
  return values;
}

const corrupt = (why: string, cause?: unknown): ModelpressError =>
  new ModelpressError(
    'invalid',
    'sparse.corrupt',
    `The sparse file is damaged: ${why}.`,
    { file: SPARSE_FILE },
    { cause },
  );
