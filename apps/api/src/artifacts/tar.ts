/** @file A tar (POSIX ustar) written as a stream, so that a folder of any size is one download. */
import type { Readable } from 'node:stream';
import { unsupported } from '@modelpress/core';

const BLOCK = 512;
const MAX_PATH = 100;

export interface TarEntry {
  readonly path: string;
  readonly bytes: number;
  readonly open: () => Promise<Readable>;
}

/** Octal digits and a NUL; sizes from 8 GiB on in GNU's binary form. */
function numberField(value: number, width: number): Buffer {
  const octal = value.toString(8);
  if (octal.length < width) return Buffer.from(`${octal.padStart(width - 1, '0')}\0`, 'latin1');
  const field = Buffer.alloc(width);
  field.writeBigUInt64BE(BigInt(value), width - 8);
  field.writeUInt8(0x80, 0);
  return field;
}

/** The header block of one file. @throws ModelpressError `archive.path` for a path of more than 100 bytes. */
export function tarHeader(path: string, bytes: number, modified: Date): Buffer {
  if (Buffer.byteLength(path) > MAX_PATH)
    throw unsupported('archive.path', `"${path}" is too long for a tar; fetch the files one by one.`, { file: path });
  const header = Buffer.alloc(BLOCK);
  header.write(path, 0, 100, 'utf8');
  header.write('0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  numberField(bytes, 12).copy(header, 124);
  numberField(Math.floor(modified.getTime() / 1000), 12).copy(header, 136);
  // The checksum counts its own field as spaces.
  header.write('        ', 148, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

const padding = (bytes: number): number => (BLOCK - (bytes % BLOCK)) % BLOCK;

/** Bytes of the whole tar. */
export const tarSize = (entries: readonly TarEntry[]): number =>
  entries.reduce((total, { bytes }) => total + BLOCK + bytes + padding(bytes), 2 * BLOCK);

/** The tar's bytes; files are opened one after the other. */
export async function* tar(entries: readonly TarEntry[], modified: Date): AsyncGenerator<Uint8Array> {
  for (const { path, bytes, open } of entries) {
    yield tarHeader(path, bytes, modified);
    for await (const chunk of await open()) yield chunk as Uint8Array;
    yield Buffer.alloc(padding(bytes));
  }
  yield Buffer.alloc(2 * BLOCK);
}
