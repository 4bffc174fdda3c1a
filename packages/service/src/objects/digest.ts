/** @file SHA-256 of bytes that flow through. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline, Transform, Writable, type Readable } from 'node:stream';
import { pipeline as pipelineToEnd } from 'node:stream/promises';
import { ModelpressError } from '@modelpress/core';
import type { StoredObject } from './object-store';

/** Passes bytes on and counts them; `result()` is right once the stream has ended. */
export function digester(): { readonly stream: Transform; readonly result: () => StoredObject } {
  const hash = createHash('sha256');
  let bytes = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  return { stream, result: () => ({ sha256: hash.digest('hex'), bytes }) };
}

/** Digest of a file of this machine. */
export async function digestFile(path: string): Promise<StoredObject> {
  const { stream, result } = digester();
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  await pipelineToEnd(createReadStream(path, { highWaterMark: 1 << 20 }), stream, nowhere);
  return result();
}

/** The same bytes; ends with `objects.corrupt` if they are not those of the digest. */
export function verified(source: Readable, sha256: string): Readable {
  const hash = createHash('sha256');
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const actual = hash.digest('hex');
      const message = `Stored object ${sha256} is damaged: its bytes have the digest ${actual}.`;
      done(actual === sha256 ? null : new ModelpressError('internal', 'objects.corrupt', message, { sha256, actual }));
    },
  });
  // An error of the source becomes one of the returned stream; whoever reads that handles it.
  pipeline(source, check, () => undefined);
  return check;
}

export const objectChanged = (path: string): ModelpressError =>
  new ModelpressError('conflict', 'objects.changed', `${path} changed while it was being stored.`, { file: path });

export const objectNotFound = (name: string): ModelpressError =>
  new ModelpressError('not-found', 'objects.not-found', `There is no stored object ${name}.`, { sha256: name });
