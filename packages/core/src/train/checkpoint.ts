/**
 * @file Training state on disk: a JSON state and named arrays, in one file that is either whole or absent.
 *
 * Layout: `MPCKPT01`, header length (uint32, little endian), SHA-256 of the header, header (JSON), the arrays one after
 * the other, SHA-256 of all before.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { invalid } from '../errors';
import type { ModelpressError } from '../errors';

const MAGIC = Buffer.from('MPCKPT01');
const DIGEST_BYTES = 32;
const MAX_HEADER_BYTES = 64 * 2 ** 20;
/** Bytes moved at once, so that hashing and disk take turns in cache-sized pieces. */
const CHUNK_BYTES = 8 * 2 ** 20;

export type CheckpointArrays = ReadonlyMap<string, Float32Array | Uint8Array>;

interface Header {
  readonly state: unknown;
  readonly arrays: readonly { readonly name: string; readonly bytes: number }[];
}

/** Writes to a temporary neighbour, syncs and renames: a crash leaves the old checkpoint. Nothing is copied. */
export async function writeCheckpoint(path: string, state: unknown, arrays: CheckpointArrays): Promise<void> {
  const temporary = `${path}.partial`;
  const header: Header = {
    state,
    arrays: [...arrays].map(([name, array]) => ({ name, bytes: array.byteLength })),
  };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const hash = createHash('sha256');
  const file = await open(temporary, 'w');
  try {
    for (const part of [MAGIC, length, sha256(json), json, ...arrays.values()])
      await writeHashed(file, hash, bytesOf(part));
    await file.writev([hash.digest()]);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await file.close();
  await rename(temporary, path);
}

/**
 * Reads a checkpoint into existing memory.
 * @param destinations called with the state; returns an array of the right size for every name in the file
 * @returns the state
 * @throws ModelpressError `checkpoint.corrupt`, `checkpoint.mismatch`; destinations may then be half written
 */
export async function readCheckpoint(
  path: string,
  destinations: (state: unknown) => CheckpointArrays,
): Promise<unknown> {
  const file = await open(path, 'r');
  try {
    const reader = new HashedReader(file, path);
    const magic = await reader.take(MAGIC.length);
    if (!magic.equals(MAGIC)) throw corrupt(path, 'it does not start like a checkpoint');
    const headerBytes = (await reader.take(4)).readUInt32LE();
    if (headerBytes > MAX_HEADER_BYTES) throw corrupt(path, 'its header is too large');
    const headerDigest = await reader.take(DIGEST_BYTES);
    const json = await reader.take(headerBytes);
    if (!sha256(json).equals(headerDigest)) throw corrupt(path, 'the digest of its header is wrong');
    const { state, arrays } = JSON.parse(json.toString()) as Header;
    const targets = destinations(state);
    checkArrays(path, arrays, targets);
    for (const { name } of arrays) await reader.fill(bytesOf(targets.get(name)!));
    await reader.checkDigest();
    return state;
  } finally {
    await file.close();
  }
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

const corrupt = (path: string, why: string): ModelpressError =>
  invalid('checkpoint.corrupt', `The checkpoint ${basename(path)} is damaged: ${why}.`, { file: basename(path) });

function checkArrays(path: string, found: Header['arrays'], expected: CheckpointArrays): void {
  const fail = (name: string): never => {
    throw invalid('checkpoint.mismatch', `The checkpoint ${basename(path)} does not fit this model: array "${name}".`, {
      file: basename(path),
      field: name,
    });
  };
  for (const { name, bytes } of found) if (expected.get(name)?.byteLength !== bytes) fail(name);
  const names = new Set(found.map(({ name }) => name));
  for (const name of expected.keys()) if (!names.has(name)) fail(name);
}

const bytesOf = (array: Float32Array | Uint8Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const chunks = function* (bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
};

async function writeHashed(file: FileHandle, hash: Hash, bytes: Uint8Array): Promise<void> {
  for (const chunk of chunks(bytes)) {
    hash.update(chunk);
    await file.writev([chunk]);
  }
}

/** Reads a file from its start and hashes what it reads. */
class HashedReader {
  private readonly hash = createHash('sha256');

  constructor(
    private readonly file: FileHandle,
    private readonly path: string,
  ) {}

  async take(length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    await this.fill(bytes);
    return bytes;
  }

  async fill(target: Uint8Array): Promise<void> {
    for (const chunk of chunks(target)) {
      await this.read(chunk);
      this.hash.update(chunk);
    }
  }

  /** Compares what follows with the digest of what was read, and expects the end of the file. */
  async checkDigest(): Promise<void> {
    const expected = Buffer.alloc(DIGEST_BYTES);
    await this.read(expected);
    if (!this.hash.digest().equals(expected)) throw corrupt(this.path, 'its digest is wrong');
    const { bytesRead } = await this.file.read(Buffer.alloc(1));
    if (bytesRead > 0) throw corrupt(this.path, 'something follows its end');
  }

  private async read(target: Uint8Array): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const { bytesRead } = await this.file.read(target, done, target.length - done);
      if (bytesRead === 0) throw corrupt(this.path, 'it ends too early');
      done += bytesRead;
    }
  }
}
