import { setTimeout as sleep } from 'node:timers/promises';
import { ModelpressError } from '@modelpress/core';

/** The result of `work`, or an error after this time; the work itself goes on. */
export async function withTimeout<T>(ms: number, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = sleep(ms, undefined, { signal: done.signal }).then(
    () => Promise.reject(new ModelpressError('unavailable', 'timeout', `No answer within ${ms} ms.`)),
    () => work,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}
