/** @file The header of a safetensors file: u64 length, JSON, then the bytes of all tensors without holes. */
import { z } from 'zod';
import { invalid, limitExceeded, unsupported } from '../errors';
import { byteLength } from '../graph';
import type { DType } from '../graph';

/** Element types of the format that modelpress reads, by their name in the header. */
export const SAFETENSORS_DTYPES = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U64: 'uint64',
  U32: 'uint32',
  U16: 'uint16',
  U8: 'uint8',
  BOOL: 'bool',
} as const satisfies Readonly<Record<string, DType>>;

/** Upper bounds of the format's reference implementation, and of tensors a sane checkpoint has. */
export const MAX_HEADER_BYTES = 100_000_000;
const MAX_TENSORS = 200_000;
const MAX_RANK = 16;

/** Where one tensor lies; `begin` and `end` count from the first byte after the header. */
export interface TensorEntry {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

const size = z.int().min(0);
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(size).max(MAX_RANK),
  data_offsets: z.tuple([size, size]),
});
const metadataSchema = z.record(z.string(), z.string());

/**
 * Reads the first eight bytes of a file.
 * @param fileBytes size of the whole file
 * @throws `safetensors.header-length` when the stated header does not fit the file
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (prefix.byteLength < 8) {
    throw invalid('safetensors.too-short', `${file} has ${fileBytes} bytes; a safetensors file has at least 8.`, {
      file,
    });
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw limitExceeded(
      'safetensors.header-length',
      `${file} states a header of ${length} bytes, more than ${MAX_HEADER_BYTES}.`,
      { file },
    );
  }
  if (length > BigInt(fileBytes - 8)) {
    throw invalid(
      'safetensors.header-length',
      `${file} states a header of ${length} bytes, but only ${fileBytes - 8} follow.`,
      { file },
    );
  }
  return Number(length);
}

/**
 * Parses and checks a header: every tensor's bytes match its shape, tensors neither overlap nor leave holes, and
 * together they fill the rest of the file exactly.
 * @param dataBytes bytes of the file after the header
 * @throws `safetensors.json`, `.entry`, `.dtype`, `.size`, `.offsets` or `.total`, naming the tensor
 */
export function parseHeader(json: Uint8Array, dataBytes: number, file: string): SafetensorsHeader {
  const { __metadata__: metadata, ...entries } = parseObject(json, file);
  const names = Object.keys(entries);
  if (names.length > MAX_TENSORS) {
    throw limitExceeded('safetensors.count', `${file} lists ${names.length} tensors, more than ${MAX_TENSORS}.`, {
      file,
    });
  }
  const tensors = new Map(names.map((name) => [name, parseEntry(name, entries[name], file)]));
  checkLayout(tensors, dataBytes, file);
  const checked = metadataSchema.safeParse(metadata ?? {});
  if (!checked.success) {
    throw invalid('safetensors.metadata', `"__metadata__" of ${file} must map strings to strings.`, { file });
  }
  return { tensors, metadata: checked.data };
}

function parseObject(bytes: Uint8Array, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid('safetensors.json', `The header of ${file} is not JSON: ${(cause as Error).message}`, { file });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('safetensors.json', `The header of ${file} is not a JSON object.`, { file });
  }
  return value as Record<string, unknown>;
}

function parseEntry(name: string, value: unknown, file: string): TensorEntry {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    const reason = parsed.error.issues[0]?.message ?? 'malformed';
    throw invalid('safetensors.entry', `Tensor "${name}" of ${file} has a malformed entry: ${reason}.`, {
      file,
      tensor: name,
    });
  }
  const { dtype: code, shape, data_offsets: offsets } = parsed.data;
  const dtype = (SAFETENSORS_DTYPES as Readonly<Record<string, DType>>)[code];
  if (!Object.hasOwn(SAFETENSORS_DTYPES, code) || !dtype) {
    throw unsupported(
      'safetensors.dtype',
      `Tensor "${name}" of ${file} has element type ${code}, which modelpress does not read.`,
      { file, tensor: name },
    );
  }
  const expected = bytesOf(dtype, shape);
  if (expected === undefined || offsets[1] - offsets[0] !== expected) {
    throw invalid(
      'safetensors.size',
      `Tensor "${name}" of ${file} is ${code}[${shape.join(',')}] but its offsets span ${offsets[1] - offsets[0]} bytes.`,
      { file, tensor: name },
    );
  }
  return { dtype, dims: shape, begin: offsets[0], end: offsets[1] };
}

/** Bytes of a tensor, or undefined when they exceed what a number counts exactly. */
function bytesOf(dtype: DType, dims: readonly number[]): number | undefined {
  if (dims.includes(0)) return 0;
  let elements = 1;
  for (const dim of dims) {
    elements *= dim;
    if (elements > Number.MAX_SAFE_INTEGER / 8) return undefined;
  }
  return byteLength(dtype, elements);
}

function checkLayout(tensors: ReadonlyMap<string, TensorEntry>, dataBytes: number, file: string): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const [name, { begin, end }] of ordered) {
    if (begin !== position) {
      const what = begin < position ? 'overlaps the tensor before it' : `leaves a hole of ${begin - position} bytes`;
      throw invalid('safetensors.offsets', `Tensor "${name}" of ${file} starts at ${begin} and ${what}.`, {
        file,
        tensor: name,
      });
    }
    position = end;
  }
  if (position !== dataBytes) {
    throw invalid(
      'safetensors.total',
      `The tensors of ${file} need ${position} bytes, but ${dataBytes} follow the header.`,
      { file },
    );
  }
}
