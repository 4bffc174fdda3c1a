/** @file Repeating what must not fail because a server is away for a while. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelpressError } from '@modelpress/core';
import type { Logger } from '../observe/logger';
import { isLeaseLost } from '../state/leases';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
const PATIENCE_MS = 10 * 60_000;

const nextPause = (pause: number): number => Math.min(pause * 2, LONGEST_PAUSE_MS);

/** Repeats what must be recorded until it is, or until someone else has taken the run over. */
export async function insist(logger: Logger, work: () => Promise<void>): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; ; pause = nextPause(pause)) {
    try {
      await work();
      return;
    } catch (error) {
      if (isLeaseLost(error)) {
        logger.warn('The run was taken over by another worker; this result is dropped.');
        return;
      }
      logger.error({ err: error }, 'The end of an attempt could not be recorded; trying again.');
      await sleep(pause);
    }
  }
}

/**
 * Repeats work on the database or the object store that may be done twice. Errors of our own say that something is wrong
 * and are passed on; any other is taken for an outage, for ten minutes.
 */
export async function patiently<T>(logger: Logger, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause = nextPause(pause)) {
    try {
      return await work();
    } catch (error) {
      const own = error instanceof ModelpressError && error.kind !== 'unavailable';
      if (own || signal.aborted || Date.now() > deadline) throw error;
      logger.warn({ err: error }, 'A server is away; trying again.');
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  }
}
