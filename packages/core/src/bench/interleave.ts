/** @file Times a baseline and a candidate in turns, so that both see the same machine. */
import { performance } from 'node:perf_hooks';
import { throwIfAborted } from '../errors';
import type { PairedSamples } from './statistics';

/** One execution of the work to be timed. */
export type TimedWork = () => Promise<unknown>;

export interface InterleaveOptions {
  /** Untimed executions of each first. */
  readonly warmup: number;
  /** Timed executions of each: at least `minRounds`, then until `seconds` have passed or `maxRounds` is reached. */
  readonly minRounds: number;
  readonly maxRounds: number;
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds of each execution, in pairs. Which one goes first alternates, so neither always finds warm caches. */
export async function interleave(
  baseline: TimedWork,
  candidate: TimedWork,
  options: InterleaveOptions,
): Promise<PairedSamples> {
  for (let i = 0; i < options.warmup; i++) {
    throwIfAborted(options.signal);
    await baseline();
    await candidate();
  }
  const samples = { baseline: [] as number[], candidate: [] as number[] };
  const start = performance.now();
  for (let round = 0; round < options.maxRounds; round++) {
    if (round >= options.minRounds && performance.now() - start > options.seconds * 1000) break;
    throwIfAborted(options.signal);
    const order = round % 2 === 0 ? (['baseline', 'candidate'] as const) : (['candidate', 'baseline'] as const);
    for (const which of order) samples[which].push(await time(which === 'baseline' ? baseline : candidate));
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
