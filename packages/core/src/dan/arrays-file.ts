/** @file Float32 arrays of any size, one after the other in a file. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/** The system moves less than 2 GiB at once. */
const PIECE = 2 ** 30;

export function writeArrays(path: string, arrays: readonly Float32Array[]): void {
  const file = openSync(path, 'w');
  try {
    for (const piece of pieces(arrays)) {
      for (let done = 0; done < piece.length;) done += writeSync(file, piece, done);
    }
  } finally {
    closeSync(file);
  }
}

/** Fills the arrays, which must have the sizes that were written. */
export function readArrays(path: string, arrays: readonly Float32Array[]): void {
  const file = openSync(path, 'r');
  try {
    for (const piece of pieces(arrays)) {
      for (let done = 0; done < piece.length;) {
        const read = readSync(file, piece, done, piece.length - done, null);
        if (read === 0) throw new RangeError(`${path} ends too early.`);
        done += read;
      }
    }
  } finally {
    closeSync(file);
  }
}

function* pieces(arrays: readonly Float32Array[]): Generator<Uint8Array> {
  for (const { buffer, byteOffset, byteLength } of arrays) {
    for (let at = 0; at < byteLength; at += PIECE) {
      yield new Uint8Array(buffer, byteOffset + at, Math.min(PIECE, byteLength - at));
    }
  }
}
