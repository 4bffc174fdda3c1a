/** @file Server-sent events (WHATWG HTML, section 9.2). */
import { Readable } from 'node:stream';
import { isFinal, STATES, type EventView, type State } from '@modelpress/service';
import type { FastifyReply } from 'fastify';

/** Fires when the client goes away or the server closes the connection. */
export function closeSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort());
  return controller.signal;
}

const HEARTBEAT = ': still here\n\n';

const format = (event: EventView): string =>
  `id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`;

/** Events as text; a comment after each `heartbeatMs` without one. */
export async function* eventText(source: AsyncIterable<EventView>, heartbeatMs: number): AsyncGenerator<string> {
  const events = source[Symbol.asyncIterator]();
  // Proxies and clients see at once that the stream is open.
  yield ': open\n\n';
  let next = events.next();
  try {
    while (true) {
      const result = await orSilence(next, heartbeatMs);
      if (result === undefined) yield HEARTBEAT;
      else if (result.done === true) return;
      else {
        yield format(result.value);
        next = events.next();
      }
    }
  } finally {
    // Not awaited: a source that waits for its next event returns when its signal fires.
    void events.return?.();
  }
}

/** The value of a promise, or undefined when it takes longer. */
async function orSilence<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Silence after which an ended job's stored events have all come. */
const QUIET_MS = 300;

const stateOf = (event: EventView): State | undefined => STATES.find((state) => state === event.data['state']);

/** A job's events until it has ended: a retry may follow at once, so the end is a final state and then silence. */
export async function* untilEnd(source: AsyncIterable<EventView>, state: State): AsyncGenerator<EventView> {
  const events = source[Symbol.asyncIterator]();
  let ending = isFinal(state);
  try {
    while (true) {
      const next = events.next();
      const result = await (ending ? orSilence(next, QUIET_MS) : next);
      if (result === undefined || result.done === true) return;
      const event = result.value;
      yield event;
      const reached = event.kind === 'job.state' ? stateOf(event) : undefined;
      if (reached !== undefined) ending = isFinal(reached);
    }
  } finally {
    void events.return?.();
  }
}

/** Answers with an event stream. */
export async function sendEvents(
  reply: FastifyReply,
  source: AsyncIterable<EventView>,
  heartbeatMs: number,
): Promise<void> {
  await reply
    .header('content-type', 'text/event-stream; charset=utf-8')
    .header('cache-control', 'no-cache, no-transform')
    // nginx buffers answers unless told not to.
    .header('x-accel-buffering', 'no')
    .send(Readable.from(eventText(source, heartbeatMs)));
}
