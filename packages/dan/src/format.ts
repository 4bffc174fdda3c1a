/**
 * @file One file per model: 8 magic bytes, the header's length (u32), a JSON header, then the arrays the header lists,
 * each starting at a multiple of 64 bytes. Little-endian.
 */
import type { DanModel, Pooling } from './model';

const MAGIC = 'MPDAN001';
const ALIGNMENT = 64;

const ARRAYS = {
  displacements: Uint16Array,
  fingerprints: Uint32Array,
  rows: Float32Array,
  int8Rows: Int8Array,
  scales: Float32Array,
  w1: Float32Array,
  b1: Float32Array,
  w2: Float32Array,
  b2: Float32Array,
  attention: Float32Array,
} as const;
type ArrayName = keyof typeof ARRAYS;

interface Header {
  readonly labels: readonly string[];
  readonly minOrder: number;
  readonly maxOrder: number;
  readonly dimension: number;
  readonly hidden: number;
  readonly pooling: Pooling;
  /** Offset (from the first array) and element count. */
  readonly arrays: Partial<Record<ArrayName, readonly [offset: number, count: number]>>;
}

const align = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

/** Serialises a model. */
export function encodeDan(model: DanModel): Uint8Array {
  const { hash, table, labels, minOrder, maxOrder, dimension, hidden, pooling, w1, b1, w2, b2, attention } = model;
  const data: Partial<Record<ArrayName, ArrayBufferView>> = {
    ...hash,
    ...(table.type === 'int8' ? { int8Rows: table.rows, scales: table.scales } : { rows: table.rows }),
    w1,
    b1,
    w2,
    b2,
    ...(attention ? { attention } : {}),
  };
  const arrays: Header['arrays'] = {};
  let end = 0;
  for (const [name, array] of Object.entries(data) as [ArrayName, ArrayBufferView][]) {
    const offset = align(end);
    Object.assign(arrays, { [name]: [offset, array.byteLength / ARRAYS[name].BYTES_PER_ELEMENT] });
    end = offset + array.byteLength;
  }
  const header: Header = { labels, minOrder, maxOrder, dimension, hidden, pooling, arrays };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = align(12 + json.length);
  const bytes = new Uint8Array(start + end);
  bytes.set(new TextEncoder().encode(MAGIC));
  new DataView(bytes.buffer).setUint32(8, json.length, true);
  bytes.set(json, 12);
  for (const [name, array] of Object.entries(data) as [ArrayName, ArrayBufferView][]) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), start + arrays[name]![0]);
  }
  return bytes;
}

/** Reads a model; its arrays are views of `bytes`, which must start at a multiple of 4 in its buffer. */
export function decodeDan(bytes: Uint8Array): DanModel {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = bytes.length < 12 ? '' : new TextDecoder().decode(bytes.subarray(0, 8));
  if (magic !== MAGIC) throw new TypeError(`Not a DAN model: it starts with "${magic}", not "${MAGIC}".`);
  const headerLength = view.getUint32(8, true);
  if (12 + headerLength > bytes.length) throw new TypeError('Truncated DAN model: the header is incomplete.');
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + headerLength))) as Header;
  const start = align(12 + headerLength);

  const read = <N extends ArrayName>(name: N, expected?: number): InstanceType<(typeof ARRAYS)[N]> => {
    const [offset, count] = header.arrays[name] ?? [0, 0];
    const type = ARRAYS[name];
    if (expected !== undefined && count !== expected) {
      throw new TypeError(`Broken DAN model: ${name} has ${count} elements instead of ${expected}.`);
    }
    if (start + offset + count * type.BYTES_PER_ELEMENT > bytes.length) {
      throw new TypeError(`Truncated DAN model: ${name} reaches beyond the end.`);
    }
    return new type(bytes.buffer as ArrayBuffer, bytes.byteOffset + start + offset, count) as InstanceType<
      (typeof ARRAYS)[N]
    >;
  };
  const { labels, minOrder, maxOrder, dimension, hidden, pooling } = header;
  const hash = { displacements: read('displacements'), fingerprints: read('fingerprints') };
  const cells = hash.fingerprints.length * dimension;
  return {
    labels,
    minOrder,
    maxOrder,
    dimension,
    hidden,
    pooling,
    hash,
    table: header.arrays.int8Rows
      ? { type: 'int8', rows: read('int8Rows', cells), scales: read('scales', dimension) }
      : { type: 'float32', rows: read('rows', cells) },
    w1: read('w1', dimension * hidden),
    b1: read('b1', hidden),
    w2: read('w2', hidden * labels.length),
    b2: read('b2', labels.length),
    ...(pooling === 'attentive' ? { attention: read('attention', dimension) } : {}),
  };
}
