import type { EventView, State } from '@modelpress/service';
import { eventText, untilEnd } from './event-stream';

const event = (id: number, kind: EventView['kind'] = 'run.progress', data = {}): EventView => ({
  id,
  kind,
  jobId: 'j',
  runId: null,
  data,
  time: new Date(0),
});
const reached = (id: number, state: State): EventView => event(id, 'job.state', { state });

/** Gives these events, then waits for ever; `ended` tells that the reader went away. */
function endless(...events: EventView[]): { source: AsyncIterable<EventView>; ended: () => boolean } {
  let ended = false;
  const pending = [...events];
  const iterator: AsyncIterator<EventView> = {
    next: () => {
      const value = pending.shift();
      return value === undefined ? new Promise(() => undefined) : Promise.resolve({ done: false, value });
    },
    return: () => {
      ended = true;
      return Promise.resolve({ done: true, value: undefined });
    },
  };
  return { source: { [Symbol.asyncIterator]: () => iterator }, ended: () => ended };
}

async function take(source: AsyncIterable<string>, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const text of source) {
    texts.push(text);
    if (texts.length === count) break;
  }
  return texts;
}

describe('eventText', () => {
  it('opens at once, writes events, and breaks silence', async () => {
    const { source, ended } = endless(event(7, 'run.progress', { text: 'two\nlines' }));
    const texts = await take(eventText(source, 20), 4);
    expect(texts[0]).toBe(': open\n\n');
    expect(texts[1]).toMatch(/^id: 7\nevent: run\.progress\ndata: \{.*"text":"two\\nlines".*\}\n\n$/);
    expect(texts.slice(2)).toEqual([': still here\n\n', ': still here\n\n']);
    expect(ended()).toBe(true);
  });
});

describe('untilEnd', () => {
  const ids = async (state: State, ...events: EventView[]): Promise<number[]> => {
    const seen: number[] = [];
    for await (const { id } of untilEnd(endless(...events).source, state)) seen.push(id);
    return seen;
  };

  it('ends after the job has, not at an end that a retry undid', async () => {
    expect(await ids('running', reached(1, 'failed'), reached(2, 'queued'), event(3), reached(4, 'succeeded'))).toEqual(
      [1, 2, 3, 4],
    );
  });

  it('ends after what is stored of a job that ended before', async () => {
    expect(await ids('succeeded')).toEqual([]);
    expect(await ids('cancelled', event(1), reached(2, 'cancelled'), event(3))).toEqual([1, 2, 3]);
  });
});
