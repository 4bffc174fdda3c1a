/** @file Bytes of a bundle on disk. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip, constants } from 'node:zlib';
import { bundleBytes, modelFiles } from '../bundle/bundle';

export interface SizeFigures {
  /** model.onnx and its side files; of a DAN model.dan. */
  readonly model: number;
  /** Everything in the folder. */
  readonly total: number;
  /** The same after gzip at its fastest level, if asked for. */
  readonly compressed: number | undefined;
}

export async function measureSize(folder: string, compressed: boolean, signal: AbortSignal): Promise<SizeFigures> {
  const sizes = await bundleBytes(folder);
  return { ...sizes, compressed: compressed ? await gzipBytes(folder, signal) : undefined };
}

async function gzipBytes(folder: string, signal: AbortSignal): Promise<number> {
  let total = 0;
  for (const file of await modelFiles(folder)) {
    const count = new Writable({
      write(chunk: Uint8Array, _, done) {
        total += chunk.length;
        done();
      },
    });
    const gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 2 ** 18 });
    await pipeline(createReadStream(join(folder, file), { highWaterMark: 2 ** 20 }), gzip, count, { signal });
  }
  return total;
}
