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

/** Milliseconds of each execution: result[work][round]. A round runs every work once, in the order of `turnOrder`. */
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
    for (const which of turnOrder(round, works.length)) samples[which].push(await time(works[which]));
    // The engine blocks this thread: give cancellation and progress messages a turn.
    await new Promise(setImmediate);
  }
  return samples;
}

/**
 * Order of `count` works in a round: every work follows every other equally often (Williams 1949, balanced for residual
 * effects; after `count` rounds, twice as many if it is odd). What ran before leaves its weights in the caches and its clock
 * rate to the next: int8 products right behind large float ones were 8 % slower than behind int8 ones.
 */
export function turnOrder(round: number, count: number): number[] {
  const row = Array.from({ length: count }, (_, j) => (round + (j % 2 === 0 ? j / 2 : count - (j + 1) / 2)) % count);
  const mirrored = count % 2 === 1 && Math.floor(round / count) % 2 === 1;
  return mirrored ? row.reverse() : row;
}

async function time(work: TimedWork): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
