import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../observe/logger';

/** Runs `work` again and again with this pause, never twice at once. A failure is logged. @returns what ends it. */
export function every(ms: number, logger: Logger, work: () => Promise<unknown>): () => Promise<void> {
  const closing = new AbortController();
  const loop = (async () => {
    for (;;) {
      await sleep(ms, undefined, { signal: closing.signal }).catch(() => undefined);
      if (closing.signal.aborted) return;
      await work().catch((error: unknown) => logger.warn({ err: error }, 'Housekeeping failed; it is tried again.'));
    }
  })();
  return () => {
    closing.abort();
    return loop;
  };
}
