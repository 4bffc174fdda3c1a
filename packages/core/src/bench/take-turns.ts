/** @file Times several pieces of work in turns, so that all see the same machine. */
import { performance } from 'node:perf_hooks';
import { throwIfAborted } from '../errors';

/** One execution of what is to be timed. */
export type TimedWork = () => Promise<unknown>;

export interface RoundOptions {
  /** Untimed rounds first. */
  readonly warmup: number;
  /** Timed rounds: at least `minRounds`, then until `seconds` have passed or `maxRounds` is reached. */
  readonly minRounds: number;
  readonly maxRounds: number;
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Milliseconds of each execution: result[work][round]. A round runs every work once; which one begins rotates, so that
 * none always finds the caches of the same predecessor.
 */
export async function takeTurns(works: readonly TimedWork[], options: RoundOptions): Promise<number[][]> {
  for (let i = 0; i < options.warmup; i++) {
    throwIfAborted(options.signal);
    for (const work of works) await work();
  }
  const samples = works.map((): number[] => []);
  const start = performance.now();
  for (let round = 0; round < options.maxRounds; round++) {
    if (round >= options.minRounds && performance.now() - start > options.seconds * 1000) break;
    throwIfAborted(options.signal);
    for (let turn = 0; turn < works.length; turn++) {
      const which = (round + turn) % works.length;
      samples[which].push(await time(works[which]));
    }
    // The engine blocks this thread: give cancellation and progress messages a turn.
    await new Promise(setImmediate);
  }
  return samples;
}

async function time(work: TimedWork): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
