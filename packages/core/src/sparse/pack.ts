/**
 * @file The packed form of a sparse weight that modelpress.SparseGemm reads, version 1 (packages/native/README.md).
 * Little endian: a header of 64 bytes, then `starts`, `inputs` and `values`, each at a multiple of 64 bytes.
 */

/** How a sparse weight is stored: what stands or falls together, `1x16-int8` with values rounded to int8. */
export const SPARSE_PATTERNS = ['unstructured', '1x16', '4x1', '1x16-int8'] as const;
export type SparsePattern = (typeof SPARSE_PATTERNS)[number];

/** Consecutive outputs that share one input, by pattern, and the pattern's number in the file. */
const LAYOUTS: Readonly<Record<SparsePattern, { readonly width: number; readonly number: number }>> = {
  unstructured: { width: 1, number: 0 },
  '1x16': { width: 16, number: 1 },
  '4x1': { width: 4, number: 2 },
  '1x16-int8': { width: 16, number: 3 },
};

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
  const { width } = LAYOUTS[pattern];
  const size = weight.inputs * weight.outputs;
  const entries = keptInputs(weight, width).reduce((sum, inputs) => sum + inputs.length, 0);
  return size === 0 ? 0 : (entries * width) / size;
}

/** Packs every block that is not all zero. */
export function packSparse(weight: DenseWeight, pattern: SparsePattern): Uint8Array<ArrayBuffer> {
  const { width } = LAYOUTS[pattern];
  const kept = keptInputs(weight, width);
  if (pattern === '1x16-int8') return packInt8(weight, kept.map(inFours), width);
  const entries = kept.reduce((sum, inputs) => sum + inputs.length, 0);
  const { bytes, valuesAt } = packPlaces(weight, pattern, kept, 4 * entries * width);
  const values = new Float32Array(bytes.buffer, valuesAt, entries * width);
  let entry = 0;
  kept.forEach((inputs, group) => {
    for (const input of inputs) values.set(blockOf(weight, width, group, input), width * entry++);
  });
  return bytes;
}

/** Repeats the last input until there are whole groups of four. */
const inFours = (inputs: readonly number[]): readonly number[] =>
  inputs.concat(Array.from({ length: (4 - (inputs.length % 4)) % 4 }, () => inputs[inputs.length - 1]));

/** Values in fours of inputs for one output after the other, then scales and sums of all outputs. */
function packInt8(weight: DenseWeight, kept: readonly (readonly number[])[], width: number): Uint8Array<ArrayBuffer> {
  const { outputs, data } = weight;
  const entries = kept.reduce((sum, inputs) => sum + inputs.length, 0);
  const outputBytes = 4 * width * kept.length;
  const { bytes, valuesAt } = packPlaces(weight, '1x16-int8', kept, aligned(entries * width) + 2 * outputBytes);
  const scalesAt = valuesAt + aligned(entries * width);
  const values = new Int8Array(bytes.buffer, valuesAt, entries * width);
  const scales = new Float32Array(bytes.buffer, scalesAt, width * kept.length);
  const sums = new Int32Array(bytes.buffer, scalesAt + outputBytes, width * kept.length);
  const largest = new Float32Array(outputs);
  data.forEach((value, i) => {
    largest[i % outputs] = Math.max(largest[i % outputs], Math.abs(value));
  });
  largest.forEach((value, output) => (scales[output] = value / 127));
  let start = 0;
  kept.forEach((inputs, group) => {
    inputs.forEach((input, i) => {
      if (i > 0 && inputs[i - 1] === input) return;
      blockOf(weight, width, group, input).forEach((value, k) => {
        const output = width * group + k;
        const rounded = largest[output] > 0 ? Math.round((value * 127) / largest[output]) : 0;
        values[width * (start + i - (i % 4)) + 4 * k + (i % 4)] = rounded;
        sums[output] += rounded;
      });
    });
    start += inputs.length;
  });
  return bytes;
}

/** Memory for a pack with everything written but what begins at `valuesAt`. */
function packPlaces(
  { inputs, outputs }: DenseWeight,
  pattern: SparsePattern,
  kept: readonly (readonly number[])[],
  valueBytes: number,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly valuesAt: number } {
  const entries = kept.reduce((sum, list) => sum + list.length, 0);
  const inputsAt = HEADER_BYTES + aligned(4 * (kept.length + 1));
  const valuesAt = inputsAt + aligned(4 * entries);
  const bytes = new Uint8Array(valuesAt + valueBytes);
  const header = new DataView(bytes.buffer);
  for (let i = 0; i < MAGIC.length; i++) header.setUint8(i, MAGIC.charCodeAt(i));
  header.setUint32(8, VERSION, true);
  header.setUint32(12, LAYOUTS[pattern].number, true);
  [inputs, outputs, entries].forEach((size, i) => header.setBigUint64(16 + 8 * i, BigInt(size), true));
  const starts = new Uint32Array(bytes.buffer, HEADER_BYTES, kept.length + 1);
  const places = new Uint32Array(bytes.buffer, inputsAt, entries);
  kept.forEach((list, group) => {
    places.set(list, starts[group]);
    starts[group + 1] = starts[group] + list.length;
  });
  return { bytes, valuesAt };
}

/** For each group of outputs the inputs whose block is not all zero, ascending. */
function keptInputs({ inputs, outputs, data }: DenseWeight, width: number): number[][] {
  const kept = Array.from({ length: Math.ceil(outputs / width) }, (): number[] => []);
  for (let input = 0; input < inputs; input++) {
    for (let group = 0; group < kept.length; group++) {
      const end = input * outputs + Math.min(outputs, (group + 1) * width);
      let i = input * outputs + group * width;
      while (i < end && data[i] === 0) i++;
      if (i < end) kept[group].push(input);
    }
  }
  return kept;
}

/** The weights of one input for the outputs of a group. */
const blockOf = ({ outputs, data }: DenseWeight, width: number, group: number, input: number): Float32Array =>
  data.subarray(input * outputs + group * width, input * outputs + Math.min(outputs, (group + 1) * width));
