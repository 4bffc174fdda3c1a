/** @file Weights in side files, read from and written to the model's own folder and nowhere else. */
import { constants } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join, posix, win32 } from 'node:path';
import { invalid } from '../errors';
import type { ErrorDetails } from '../errors';
import type { Tensor } from '../graph';
import type { StringStringEntryProto, TensorProto } from './proto';
import { DataLocation, StringStringEntryProto as Entry } from './proto';
import { expectedBytes, tensorHeader } from './tensor';
import { create } from './wire';

/** Side-file tensors begin at multiples of this, which lets engines map and vectorise them. */
const ALIGNMENT = 64;
/** One read call must stay below 2 GiB. */
const READ_BYTES = 2 ** 30;

/** A part of a side file. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

const refuse = (code: string, reason: string, details: ErrorDetails): Error =>
  invalid(`onnx.external-data-${code}`, `The model's external data is refused: ${reason}.`, details);

/**
 * Reads the data of the tensors that lie in side files.
 *
 * The model may be hostile, so a location must be a plain relative path, no part of it a symbolic link, and its end a
 * regular file without other hard links. Distinct ranges of a file may together not exceed it, so that a small upload
 * cannot claim unbounded memory.
 * @param folder the folder that holds the model
 * @throws ModelpressError `onnx.external-data-*`
 */
export async function readExternalData(
  folder: string,
  tensors: readonly TensorProto[],
): Promise<Map<TensorProto, Uint8Array>> {
  const data = new Map<TensorProto, Uint8Array>();
  const locations = new Set(tensors.map(locationOf));
  for (const location of locations) {
    const file = await openInside(folder, location);
    try {
      const { size } = await file.stat();
      const inFile = tensors.filter((tensor) => locationOf(tensor) === location);
      await readTensors(file, size, location, inFile, data);
    } finally {
      await file.close();
    }
  }
  return data;
}

async function openInside(folder: string, location: string): Promise<FileHandle> {
  const details = { file: location };
  const plain = location !== '' && !location.includes('\\') && !location.includes('\0');
  const path = posix.normalize(location);
  if (!plain || posix.isAbsolute(path) || win32.isAbsolute(path) || path.split('/').includes('..')) {
    throw refuse('outside', `"${location}" is not a relative path inside the model's folder`, details);
  }

  const inside = join(await realpath(folder), path);
  const real = await realpath(inside).catch((cause: unknown) => {
    throw refuse('missing', `the file "${location}" cannot be found`, { ...details, cause: String(cause) });
  });
  if (real !== inside) throw refuse('link', `"${location}" goes through a symbolic link`, details);

  const stat = await lstat(inside);
  if (stat.isFile() && stat.nlink === 1) return open(inside, constants.O_RDONLY | constants.O_NOFOLLOW);
  throw refuse('link', `"${location}" is not a regular file with a single name`, details);
}

async function readTensors(
  file: FileHandle,
  fileSize: number,
  location: string,
  tensors: readonly TensorProto[],
  data: Map<TensorProto, Uint8Array>,
): Promise<void> {
  const read = new Map<string, Uint8Array>();
  let total = 0;
  for (const tensor of tensors) {
    const details = { file: location, tensor: tensor.name };
    const { offset, length } = rangeOf(tensor, fileSize, details);
    const key = `${offset}+${length}`;
    let bytes = read.get(key);
    if (!bytes) {
      total += length;
      if (total > fileSize) throw refuse('overlap', `tensors claim overlapping parts of "${location}"`, details);
      bytes = await readRange(file, { offset, length });
      read.set(key, bytes);
    }
    data.set(tensor, bytes);
  }
}

function rangeOf(tensor: TensorProto, fileSize: number, details: ErrorDetails): Range {
  const offset = parseCount(entry(tensor, 'offset') ?? '0', details);
  const stated = entry(tensor, 'length');
  const length = stated === undefined ? fileSize - offset : parseCount(stated, details);
  const expected = expectedBytes(tensor);
  if (length !== expected) {
    throw refuse('size', `tensor "${tensor.name}" needs ${expected} bytes, but ${length} are stated`, details);
  }
  if (offset + length > fileSize) {
    throw refuse('size', `tensor "${tensor.name}" ends at byte ${offset + length} of a file of ${fileSize}`, details);
  }
  return { offset, length };
}

async function readRange(file: FileHandle, { offset, length }: Range): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, Math.min(READ_BYTES, length - done), offset + done);
    if (bytesRead === 0) throw refuse('size', 'a side file ended early', {});
    done += bytesRead;
  }
  return bytes;
}

const entry = (tensor: TensorProto, key: string): string | undefined =>
  tensor.externalData.find((entry) => entry.key === key)?.value;

const locationOf = (tensor: TensorProto): string => entry(tensor, 'location') ?? '';

function parseCount(text: string, details: ErrorDetails): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw refuse('size', `"${text}" is not a number of bytes`, details);
}

/** Appends tensors to one side file, each at an aligned offset. */
export class SideFileWriter {
  private position = 0;

  private constructor(
    private readonly file: FileHandle,
    private readonly location: string,
  ) {}

  /** @param location the file's name as the model will state it, relative to its folder */
  static async create(folder: string, location: string): Promise<SideFileWriter> {
    return new SideFileWriter(await open(join(folder, location), 'w'), location);
  }

  /** Writes the data and returns the TensorProto that refers to it. */
  async append(name: string, tensor: Tensor): Promise<TensorProto> {
    const offset = Math.ceil(this.position / ALIGNMENT) * ALIGNMENT;
    const { bytes } = tensor;
    for (let done = 0; done < bytes.length;) {
      done += (await this.file.write(bytes, done, Math.min(READ_BYTES, bytes.length - done), offset + done))
        .bytesWritten;
    }
    this.position = offset + bytes.length;

    const entry = (key: string, value: string): StringStringEntryProto => create(Entry, { key, value });
    return {
      ...tensorHeader(name, tensor),
      dataLocation: DataLocation.External,
      externalData: [
        entry('location', this.location),
        entry('offset', String(offset)),
        entry('length', String(bytes.length)),
      ],
    };
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
