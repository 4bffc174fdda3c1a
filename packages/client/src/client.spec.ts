import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clientTypes } from '../../../tools/client-types';
import { Client, everyItem } from './client';
import { ApiError } from './error';
import type { Event } from './types.generated';
import { multipart } from './upload';

const DOCUMENT = join(__dirname, '..', '..', '..', 'openapi.json');

interface Call {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: unknown;
  readonly signal: AbortSignal | undefined;
}

/** A client whose requests are answered by the test, and what it sent. */
function clientOf(answer: (call: Call, count: number) => Response | Promise<Response>): {
  client: Client;
  calls: Call[];
} {
  const calls: Call[] = [];
  const fetch: typeof globalThis.fetch = async (url, init = {}) => {
    const call = {
      method: init.method ?? 'GET',
      url: new URL(url instanceof Request ? url.url : url),
      headers: new Headers(init.headers),
      body: init.body,
      signal: init.signal ?? undefined,
    };
    calls.push(call);
    return answer(call, calls.length);
  };
  return { client: new Client({ url: 'http://server', key: 'k', fetch, retries: 2 }), calls };
}

const json = (body: unknown, status = 200, headers = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });

const problem = (status: number, headers = {}): Response =>
  json(
    {
      code: 'test.refused',
      detail: 'No.',
      errors: [{ field: 'a', code: 'x', message: 'y' }],
      details: { file: 'f' },
      requestId: 'r',
    },
    status,
    {
      'content-type': 'application/problem+json; charset=utf-8',
      ...headers,
    },
  );

describe('the client and openapi.json', () => {
  const document = JSON.parse(readFileSync(DOCUMENT, 'utf8')) as {
    paths: Record<string, Record<string, unknown>>;
    components: object;
  };

  it('has the types of the document (npm run openapi writes them)', () => {
    expect(readFileSync(join(__dirname, 'types.generated.ts'), 'utf8')).toBe(clientTypes(document));
  });

  it('reaches every documented operation, and nothing else', async () => {
    const { client, calls } = clientOf(({ url }) =>
      url.pathname.endsWith('events') ? new Response('') : json({ state: 'succeeded', items: [], next: null }),
    );
    const recipe = { name: 'r', stages: [{ type: 'quantize' }] };
    const signal = AbortSignal.abort();
    await Promise.all([
      client.me(),
      client.projects.list(),
      client.projects.create({ name: 'p' }),
      client.projects.get('id'),
      client.projects.update('id', {}),
      client.keys.list('id'),
      client.keys.create('id', { name: 'k', role: 'viewer' }),
      client.keys.revoke('id', 'id'),
      client.models.upload({ name: 'm' }, []),
      client.models.fromRun({ name: 'm', runId: 'id' }),
      client.models.list(),
      client.models.get('id'),
      client.models.files('id'),
      client.models.archive('id'),
      client.models.delete('id'),
      client.datasets.upload({ name: 'd' }, []),
      client.datasets.list(),
      client.datasets.get('id'),
      client.datasets.files('id'),
      client.datasets.delete('id'),
      client.recipes.create(recipe),
      client.recipes.list(),
      client.recipes.get('id'),
      client.recipes.update('id', recipe),
      client.recipes.delete('id'),
      client.jobs.submit({ recipe }),
      client.jobs.dryRun({ recipe }),
      client.jobs.list(),
      client.jobs.get('id'),
      client.jobs.cancel('id'),
      client.jobs.pause('id'),
      client.jobs.resume('id'),
      client.jobs.retry('id'),
      client.jobs.clone('id'),
      client.jobs.delete('id'),
      client.jobs.watch('id').next(),
      client.jobs.report('id'),
      client.jobs.reportPage('id'),
      client.jobs.archive('id'),
      client.jobs.compare(['id']),
      client.stageRuns.list(),
      client.stageRuns.get('id'),
      client.stageRuns.logs('id'),
      client.stageRuns.logText('id'),
      client.stageRuns.metrics('id'),
      client.artifacts.get('id'),
      client.artifacts.archive('id'),
      client.artifacts.file('id', 'id'),
      client.events({ signal }).next(),
      client.queue(),
      client.stages.list(),
      client.stages.get('id'),
      client.server.health(),
      client.server.readiness(),
      client.server.metrics(),
    ]);
    const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, 'id')}`),
    );
    const reached = calls.map(({ method, url }) => `${method} ${url.pathname}`);
    expect([...new Set(reached)].sort((a, b) => a.localeCompare(b))).toEqual(
      documented.sort((a, b) => a.localeCompare(b)),
    );
  });
});

describe('requests', () => {
  it('sends key, query and body', async () => {
    const { client, calls } = clientOf(() => json({ items: [], next: null }));
    await client.jobs.list({ limit: 3, state: 'running' });
    await client.jobs.compare(['a', 'b']);
    await client.jobs.submit({ recipe: 'name: x' }, { idempotencyKey: 'once' });
    await client.artifacts.file('a b', 'data/w 1.bin', [0, 9]);
    expect(calls.map(({ url }) => url.pathname + url.search)).toEqual([
      '/v1/jobs?limit=3&state=running',
      '/v1/compare?job=a&job=b',
      '/v1/jobs',
      '/v1/artifacts/a%20b/files/data/w%201.bin',
    ]);
    expect(calls[2]?.headers.get('idempotency-key')).toBe('once');
    expect(calls[2]?.body).toBe('{"recipe":"name: x"}');
    expect(calls[3]?.headers.get('range')).toBe('bytes=0-9');
    expect(calls.every(({ headers }) => headers.get('authorization') === 'Bearer k')).toBe(true);
  });

  it('throws the problem as an ApiError', async () => {
    const { client } = clientOf(() => problem(400));
    const error = await client.me().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 400,
      code: 'test.refused',
      message: 'No.',
      errors: [{ field: 'a' }],
      details: { file: 'f' },
      requestId: 'r',
    });
    const { client: behindProxy } = clientOf(() => new Response('<html>', { status: 418, statusText: 'Teapot' }));
    await expect(behindProxy.me()).rejects.toMatchObject({ status: 418, code: 'http', message: '418 Teapot: <html>' });
  });

  it('repeats what may be repeated, as long as it may help', async () => {
    const busy = (count: number) => (count < 3 ? problem(503, { 'retry-after': '0' }) : json({ role: 'admin' }));
    const passing = clientOf((_, count) => busy(count));
    await expect(passing.client.me()).resolves.toEqual({ role: 'admin' });
    expect(passing.calls).toHaveLength(3);
    const submit = clientOf((_, count) => busy(count));
    await expect(submit.client.jobs.submit({ recipe: 'a: b' })).rejects.toMatchObject({ status: 503 });
    expect(submit.calls).toHaveLength(1);
    const keyed = clientOf((_, count) => busy(count));
    await keyed.client.jobs.submit({ recipe: 'a: b' }, { idempotencyKey: 'x' });
    expect(keyed.calls).toHaveLength(3);
    const wrong = clientOf(() => problem(404));
    await expect(wrong.client.me()).rejects.toMatchObject({ status: 404 });
    expect(wrong.calls).toHaveLength(1);
  });

  it('says that the server does not answer', async () => {
    const { client, calls } = clientOf(() =>
      Promise.reject(new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })),
    );
    await expect(client.me()).rejects.toMatchObject({
      status: 0,
      code: 'network',
      message: 'http://server does not answer: connect ECONNREFUSED',
    });
    expect(calls).toHaveLength(3);
  });

  it('goes through all pages', async () => {
    const { client } = clientOf(({ url }) =>
      json(url.searchParams.has('cursor') ? { items: [3], next: null } : { items: [1, 2], next: 'c' }),
    );
    const items: unknown[] = [];
    for await (const item of everyItem(client.jobs.list)) items.push(item);
    expect(items).toEqual([1, 2, 3]);
  });
});

describe('watch', () => {
  const event = (id: number, state = 'running'): Event => ({
    id,
    kind: 'job.state',
    jobId: 'j',
    runId: null,
    data: { state },
    time: '',
  });
  const text = (...events: Event[]): string =>
    events.map((one) => `id: ${one.id}\nevent: ${one.kind}\ndata: ${JSON.stringify(one)}\n\n`).join(': hi\n\n');
  const collect = async (events: AsyncIterable<Event>): Promise<number[]> => {
    const ids: number[] = [];
    for await (const { id } of events) ids.push(id);
    return ids;
  };

  it('takes a broken stream up after the last event seen', async () => {
    const { client, calls } = clientOf(({ url, headers }) => {
      if (!url.pathname.endsWith('events')) return json({ state: 'succeeded' });
      if (headers.get('last-event-id') === '2') return new Response(text(event(3), event(4, 'succeeded')));
      const parts = [text(event(1), event(2)).slice(0, -40), text(event(1), event(2)).slice(-40)];
      return new Response(
        new ReadableStream({
          pull(controller) {
            const part = parts.shift();
            if (part === undefined) controller.error(new Error('connection reset'));
            else controller.enqueue(new TextEncoder().encode(part));
          },
        }),
      );
    });
    expect(await collect(client.jobs.watch('j'))).toEqual([1, 2, 3, 4]);
    expect(calls.map(({ url }) => url.pathname.split('/').at(-1))).toEqual(['events', 'events', 'j']);
  });

  it('throws a refusal and ends with the signal', async () => {
    const refused = clientOf(() => problem(404));
    await expect(collect(refused.client.jobs.watch('j'))).rejects.toMatchObject({ status: 404 });
    const controller = new AbortController();
    const endless = clientOf(({ signal }) => {
      const start = (stream: ReadableStreamDefaultController): void => {
        stream.enqueue(new TextEncoder().encode(text(event(1))));
        signal?.addEventListener('abort', () => stream.error(signal.reason));
      };
      return new Response(new ReadableStream({ start }));
    });
    const events = endless.client.events({ signal: controller.signal });
    expect((await events.next()).value).toMatchObject({ id: 1 });
    controller.abort();
    expect((await events.next()).done).toBe(true);
  });
});

describe('multipart', () => {
  it('is a form that other parsers read, streamed', async () => {
    async function* content(): AsyncGenerator<Uint8Array> {
      for (const piece of ['a,', 'b\r\n--', 'c']) yield Buffer.from(piece);
    }
    const progress: number[] = [];
    const { contentType, body } = multipart(
      { name: 'ä "x"' },
      [{ field: 'train', name: 'a"b.csv', open: content }],
      (bytes) => progress.push(bytes),
    );
    const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
    expect(JSON.parse(form.get('options') as string)).toEqual({ name: 'ä "x"' });
    const file = form.get('train') as File;
    expect([file.name, await file.text()]).toEqual(['a"b.csv', 'a,b\r\n--c']);
    expect(progress).toEqual([2, 7, 8]);
  });

  it('stops reading files when the request is given up', async () => {
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        while (true) yield Buffer.alloc(1000);
      } finally {
        closed = true;
      }
    }
    const { body } = multipart({}, [{ field: 'files', name: 'x', open: endless }]);
    const reader = body.getReader();
    for (let i = 0; i < 10; i++) await reader.read();
    await reader.cancel();
    expect(closed).toBe(true);
  });
});
