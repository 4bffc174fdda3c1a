/** @file Peak memory of one model, measured in a process of its own. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { Manifest } from '../bundle/manifest';
import { cancelled, ModelpressError } from '../errors';
import type { SerializedError } from '../errors';
import type { Shape } from './inputs';
import type { Serving } from '../runtime';

export interface MemoryRequest {
  /** Folder of the bundle. */
  readonly folder: string;
  readonly serving: Pick<Serving, 'runtime' | 'precision'>;
  readonly manifest: Manifest;
  readonly vocabulary: number;
  readonly shape: Shape;
  readonly threads: number;
  readonly runs: number;
}

export interface MemoryFigures {
  /** Largest resident set of a Node process that loads the model and runs it, Node itself included. */
  readonly peakBytes: number;
  readonly loadMilliseconds: number;
}

export type MemoryReply = MemoryFigures | { readonly error: SerializedError };

/** Compiled form of memory-child.ts; this file may be running from src (tests) or from dist. */
const CHILD = join(__dirname, '..', '..', 'dist', 'bench', 'memory-child.js');

/**
 * Loads and runs a model in a fresh process, which nothing else has grown.
 * @throws `benchmark.memory` if the process dies, or what the model's loading threw
 */
export function measureMemory(request: MemoryRequest, signal?: AbortSignal): Promise<MemoryFigures> {
  return new Promise((resolve, reject) => {
    const child = fork(CHILD, { execArgv: [], signal, killSignal: 'SIGKILL' });
    child.once('message', (reply: MemoryReply) => {
      if ('error' in reply) reject(ModelpressError.fromJSON(reply.error));
      else resolve(reply);
    });
    child.once('error', (error) => reject(signal?.aborted ? cancelled(signal.reason) : ModelpressError.from(error)));
    child.once('exit', (code, name) => {
      const how = name ? `was killed by ${name}` : `ended with code ${code}`;
      reject(new ModelpressError('internal', 'benchmark.memory', `The process that measured memory ${how}.`));
    });
    child.send(request);
  });
}
