/** @file Logits by row in a file: written in any order, read from memory or, when large, from disk. */
import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import type { TeacherLogits } from './soft-targets';

/** Logits up to this many bytes are kept in memory. */
const MEMORY_BYTES = 2 ** 28;

export class LogitWriter {
  private readonly file: number;

  constructor(
    path: string,
    private readonly classes: number,
  ) {
    this.file = openSync(path, 'w');
  }

  /** @param logits [classes] */
  write(row: number, logits: Float32Array): void {
    writeSync(this.file, logits, 0, 4 * this.classes, 4 * this.classes * row);
  }

  close(): void {
    closeSync(this.file);
  }
}

/** Opens what a `LogitWriter` wrote. */
export function openLogits(path: string, classes: number, memoryBytes = MEMORY_BYTES): TeacherLogits {
  if (statSync(path).size <= memoryBytes) {
    const values = new Float32Array(Uint8Array.from(readFileSync(path)).buffer);
    return { classes, row: (row) => values.subarray(row * classes, (row + 1) * classes) };
  }
  const file = openSync(path, 'r');
  const buffer = new Float32Array(classes);
  return {
    classes,
    row(row) {
      readSync(file, buffer, 0, 4 * classes, 4 * classes * row);
      return buffer;
    },
  };
}
