/** @file Server-sent events: parsed, and taken up again after a broken connection where they were left. */
import { createParser } from 'eventsource-parser';
import { ApiError } from './error';
import type { Http } from './http';
import type { Event } from './types.generated';

export interface WatchOptions {
  /** Id of the last event already seen. */
  readonly after?: number;
  readonly signal?: AbortSignal;
}

/** Longer silence than the server ever keeps: the connection is dead. */
const SILENCE_MS = 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/**
 * Events of a stream until `hasEnded` says that no more will come, or the signal fires. A refusal (wrong key, no such
 * job) is thrown; a broken connection is opened again, after the last event seen.
 */
export async function* watch(
  http: Http,
  path: string,
  hasEnded: () => Promise<boolean>,
  options: WatchOptions,
): AsyncGenerator<Event> {
  const { signal } = options;
  let after = options.after;
  let failures = 0;
  while (true) {
    try {
      for await (const event of connect(http, path, after, signal)) {
        failures = 0;
        after = event.id;
        yield event;
      }
      if (await hasEnded()) return;
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof ApiError && error.status !== 0 && error.status < 500) throw error;
    }
    failures += 1;
    await pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures), signal);
    if (signal?.aborted) return;
  }
}

const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });

async function* connect(
  http: Http,
  path: string,
  after: number | undefined,
  outer: AbortSignal | undefined,
): AsyncGenerator<Event> {
  const silence = new AbortController();
  const signal = outer ? AbortSignal.any([outer, silence.signal]) : silence.signal;
  let timer: NodeJS.Timeout | undefined;
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  const events: Event[] = [];
  const parser = createParser({ onEvent: ({ data }) => events.push(JSON.parse(data) as Event) });
  try {
    alive();
    const headers = { accept: 'text/event-stream', 'last-event-id': after === undefined ? undefined : String(after) };
    const { body } = await http.send('GET', path, { headers, signal });
    if (body === null) return;
    const decoder = new TextDecoder();
    for await (const chunk of body) {
      alive();
      parser.feed(decoder.decode(chunk, { stream: true }));
      yield* events.splice(0);
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
