/** @file Reads and writes safetensors files; one tensor at a time, so that memory holds only what is used. */
import { closeSync, fstatSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { invalid } from '../errors';
import { byteLength, sizeOf, Tensor } from '../graph';
import type { DType } from '../graph';
import { headerLength, parseHeader, SAFETENSORS_DTYPES } from './safetensors-header';
import type { SafetensorsHeader, TensorEntry } from './safetensors-header';

/** An open file: the header is checked and in memory, tensors are read when asked for. */
export class SafetensorsFile {
  private constructor(
    private readonly descriptor: number,
    readonly file: string,
    private readonly dataStart: number,
    private readonly header: SafetensorsHeader,
  ) {}

  /** Opens a file and checks its header completely (see `parseHeader` for the errors). */
  static open(path: string): SafetensorsFile {
    const descriptor = openSync(path, 'r');
    try {
      const file = basename(path);
      const fileBytes = fstatSync(descriptor).size;
      const length = headerLength(readExactly(descriptor, 0, Math.min(8, fileBytes), file), fileBytes, file);
      const header = parseHeader(readExactly(descriptor, 8, length, file), fileBytes - 8 - length, file);
      return new SafetensorsFile(descriptor, file, 8 + length, header);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  get tensors(): ReadonlyMap<string, TensorEntry> {
    return this.header.tensors;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.header.metadata;
  }

  /** Reads one tensor into memory of its own (aligned, whatever its offset in the file). */
  read(name: string): Tensor {
    const entry = this.tensors.get(name);
    if (!entry)
      throw invalid('safetensors.missing', `${this.file} has no tensor "${name}".`, { file: this.file, tensor: name });
    const bytes = readExactly(this.descriptor, this.dataStart + entry.begin, entry.end - entry.begin, this.file);
    return new Tensor(entry.dtype, entry.dims, bytes);
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

function readExactly(descriptor: number, position: number, length: number, file: string): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(descriptor, bytes, done, length - done, position + done);
    if (count === 0) throw invalid('safetensors.truncated', `${file} ended while it was read.`, { file });
    done += count;
  }
  return bytes;
}

/** A tensor to write; `load` is called once, when its turn comes, so that a large model never lies in memory twice. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly load: () => Tensor;
}

const HEADER_NAMES = new Map<DType, string>(Object.entries(SAFETENSORS_DTYPES).map(([code, dtype]) => [dtype, code]));

/**
 * Writes tensors as the reference implementation orders them: wide element types first, then by name. The file
 * appears under its name only when it is complete.
 * @throws `safetensors.dtype` for 4-bit tensors, which the format does not have
 */
export function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): void {
  const ordered = [...tensors].sort((a, b) => elementBytes(b.dtype) - elementBytes(a.dtype) || compare(a.name, b.name));
  const temporary = `${path}.partial`;
  const descriptor = openSync(temporary, 'w');
  try {
    writeAll(descriptor, encodeHeader(ordered, metadata));
    for (const tensor of ordered) writeAll(descriptor, tensor.load().bytes);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, path);
}

const elementBytes = (dtype: DType): number => byteLength(dtype, 1);
const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** u64 length and JSON, padded with blanks so that the data starts at a multiple of eight. */
function encodeHeader(tensors: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): Uint8Array {
  let position = 0;
  const entries = tensors.map(({ name, dtype, dims }) => {
    const code = HEADER_NAMES.get(dtype);
    if (!code)
      throw invalid('safetensors.dtype', `The safetensors format has no element type for ${dtype} ("${name}").`);
    const begin = position;
    position += byteLength(dtype, sizeOf(dims));
    return [name, { dtype: code, shape: dims, data_offsets: [begin, position] }] as const;
  });
  const json = new TextEncoder().encode(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const bytes = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(json, 8);
  return bytes;
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
}
