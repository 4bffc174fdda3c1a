import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../observe/logger';
import { isLeaseLost } from '../state/leases';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/** Repeats what must be recorded until it is, or until someone else has taken the run over. */
export async function insist(logger: Logger, work: () => Promise<void>): Promise<void> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
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
