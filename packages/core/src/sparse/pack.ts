/**
 * @file The packed form of a sparse weight that modelpress.SparseGemm reads, version 1 (packages/native/README.md).
 * Little endian: a header of 64 bytes, then `starts`, `inputs` and `values`, each at a multiple of 64 bytes.
 */

/** Which weights of W [inputs, outputs] stand or fall together, with their number in the file. */
const PATTERN_NUMBERS = { unstructured: 0, '1x16': 1, '4x1': 2 } as const;
export type SparsePattern = keyof typeof PATTERN_NUMBERS;
export const SPARSE_PATTERNS = Object.keys(PATTERN_NUMBERS) as readonly SparsePattern[];

/** Consecutive outputs that share one input, by pattern. */
const WIDTHS: Readonly<Record<SparsePattern, number>> = { unstructured: 1, '1x16': 16, '4x1': 4 };

const VERSION = 1;
const HEADER_BYTES = 64;
const MAGIC = 'MPSPARSE';

/** A weight as rows of inputs: `data[input * outputs + output]`. */
export interface DenseWeight {
  readonly inputs: number;
  readonly outputs: number;
  readonly data: Float32Array;
}

const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Share of the weights that the pattern stores, zeros inside a kept block included. */
export function storedShare(weight: DenseWeight, pattern: SparsePattern): number {
  const size = weight.inputs * weight.outputs;
  return size === 0 ? 0 : (countEntries(weight, WIDTHS[pattern]) * WIDTHS[pattern]) / size;
}

/** Packs every block that is not all zero. */
export function packSparse(weight: DenseWeight, pattern: SparsePattern): Uint8Array<ArrayBuffer> {
  const { inputs, outputs, data } = weight;
  const width = WIDTHS[pattern];
  const groups = Math.ceil(outputs / width);
  const entries = countEntries(weight, width);
  const inputsAt = HEADER_BYTES + aligned(4 * (groups + 1));
  const valuesAt = inputsAt + aligned(4 * entries);
  const bytes = new Uint8Array(valuesAt + 4 * entries * width);
  writeHeader(bytes, pattern, inputs, outputs, entries);
  const starts = new Uint32Array(bytes.buffer, HEADER_BYTES, groups + 1);
  const places = new Uint32Array(bytes.buffer, inputsAt, entries);
  const values = new Float32Array(bytes.buffer, valuesAt, entries * width);
  let entry = 0;
  for (let group = 0; group < groups; group++) {
    const first = group * width;
    const last = Math.min(first + width, outputs);
    for (let input = 0; input < inputs; input++) {
      const row = data.subarray(input * outputs + first, input * outputs + last);
      if (isZero(row)) continue;
      places[entry] = input;
      values.set(row, entry * width);
      entry++;
    }
    starts[group + 1] = entry;
  }
  return bytes;
}

function writeHeader(
  bytes: Uint8Array<ArrayBuffer>,
  pattern: SparsePattern,
  inputs: number,
  outputs: number,
  entries: number,
): void {
  const header = new DataView(bytes.buffer);
  for (let i = 0; i < MAGIC.length; i++) header.setUint8(i, MAGIC.charCodeAt(i));
  header.setUint32(8, VERSION, true);
  header.setUint32(12, PATTERN_NUMBERS[pattern], true);
  [inputs, outputs, entries].forEach((size, i) => header.setBigUint64(16 + 8 * i, BigInt(size), true));
}

function countEntries({ inputs, outputs, data }: DenseWeight, width: number): number {
  let entries = 0;
  for (let input = 0; input < inputs; input++) {
    const row = data.subarray(input * outputs, (input + 1) * outputs);
    for (let first = 0; first < outputs; first += width) {
      if (!isZero(row.subarray(first, first + width))) entries++;
    }
  }
  return entries;
}

function isZero(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) return false;
  return true;
}
