import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { DataSource } from 'typeorm';
import { openDatabase } from '../database/data-source';
import { OutboxEntity, type OutboxMessage } from '../database/entities';
import { insertRows } from '../database/write';
import { newId } from '../ids';
import { createLogger } from '../observe/logger';
import type { QueueAddress, WorkMessage, WorkQueue } from '../queue';
import { createTestDatabase, eventually, type TestDatabase } from '../testing';
import { OutboxRelay } from './relay';
import { SIGNATURE_HEADER, signWebhook, verifyWebhook } from './webhook';

const logger = createLogger('test', 'silent');
const SECRET = 'a secret of the test';

let test: TestDatabase;
let database: DataSource;
const relays: OutboxRelay[] = [];

beforeAll(async () => {
  test = await createTestDatabase();
  database = await openDatabase({ url: test.url });
});
afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.close()));
});
afterAll(async () => {
  await database.destroy();
  await test.drop();
});

/** Takes messages as a queue server would; `broken` makes it refuse. */
class ListQueue implements Partial<WorkQueue> {
  readonly published: (QueueAddress & WorkMessage)[] = [];
  broken = false;

  async publish({ queue, lane }: QueueAddress, message: WorkMessage): Promise<void> {
    if (this.broken) throw new Error('connection refused');
    this.published.push({ queue, lane, ...message });
  }

  async withdraw({ queue, lane }: QueueAddress, message: WorkMessage): Promise<void> {
    const index = this.published.findIndex((entry) => entry.runId === message.runId);
    if (index !== -1) this.published.splice(index, 1, { queue, lane, runId: 'withdrawn', dispatch: 0 });
  }
}

function startRelay(queue: ListQueue): OutboxRelay {
  const relay = new OutboxRelay(database, queue as unknown as WorkQueue, SECRET, logger);
  relays.push(relay);
  relay.start();
  return relay;
}

const enqueue = (runId: string): OutboxMessage => ({
  kind: 'enqueue',
  queue: 'prune',
  lane: 'cpu',
  runId,
  dispatch: 1,
  priority: 5,
  delayMs: 0,
});

const put = (...messages: OutboxMessage[]): Promise<void> =>
  insertRows(
    database.manager,
    OutboxEntity,
    messages.map((message) => ({ message, availableAt: new Date() })),
  );

const empty = () => eventually('the outbox is empty', async () => (await database.manager.count(OutboxEntity)) === 0);

describe('the relay', () => {
  it('sends in order and forgets what it has sent', async () => {
    const queue = new ListQueue();
    const ids = [newId(), newId(), newId()];
    await put(...ids.map(enqueue));
    startRelay(queue);
    await empty();
    expect(queue.published.map(({ runId }) => runId)).toEqual(ids);
  });

  it('sends each message once, however many relays there are', async () => {
    const queue = new ListQueue();
    const ids = Array.from({ length: 300 }, newId);
    for (let count = 0; count < 4; count++) startRelay(queue);
    await put(...ids.map(enqueue));
    relays.forEach((relay) => relay.wake());
    await empty();
    expect(queue.published.map(({ runId }) => runId).sort()).toEqual(ids);
  });

  it('keeps what it could not send, and sends it later', async () => {
    const queue = new ListQueue();
    queue.broken = true;
    const id = newId();
    await put(enqueue(id));
    startRelay(queue);
    const kept = await eventually('a failure is noted', async () => {
      const [row] = await database.manager.find(OutboxEntity);
      return row !== undefined && row.failures > 0 && row;
    });
    expect(kept.lastError).toContain('connection refused');
    queue.broken = false;
    await empty();
    expect(queue.published).toMatchObject([{ runId: id }]);
  });

  it('takes back what was withdrawn', async () => {
    const queue = new ListQueue();
    const id = newId();
    await put(enqueue(id), { kind: 'withdraw', queue: 'prune', lane: 'cpu', runId: id, dispatch: 1 });
    startRelay(queue);
    await empty();
    expect(queue.published.map(({ runId }) => runId)).toEqual(['withdrawn']);
  });
});

describe('a webhook', () => {
  let receiver: Server;
  let answers: number[];
  let calls: { body: string; signature: string }[];

  beforeEach(async () => {
    calls = [];
    receiver = createServer((request: IncomingMessage, response) => {
      void text(request).then((body) => {
        calls.push({ body, signature: String(request.headers[SIGNATURE_HEADER]) });
        response.writeHead(answers.shift() ?? 200).end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => new Promise((resolve) => receiver.close(resolve)));

  const webhook = (): OutboxMessage => {
    const { port } = receiver.address() as AddressInfo;
    return { kind: 'webhook', url: `http://127.0.0.1:${port}/hook`, projectId: newId(), body: { event: 'job.ended' } };
  };

  it('is signed, and sent again until it is accepted', async () => {
    answers = [500, 302, 200];
    await put(webhook());
    startRelay(new ListQueue());
    await empty();
    expect(calls).toHaveLength(3);
    for (const { body, signature } of calls) expect(verifyWebhook(SECRET, body, signature)).toBe(true);
    expect(JSON.parse(calls[0]?.body ?? '')).toEqual({ event: 'job.ended' });
  });
});

describe('a signature', () => {
  const now = Math.floor(Date.now() / 1000);

  it.each([
    ['another body', SECRET, '{"a":2}', now],
    ['another secret', 'other', '{"a":1}', now],
    ['an old call', SECRET, '{"a":1}', now - 3600],
  ])('does not hold for %s', (_what, secret, body, seconds) => {
    expect(verifyWebhook(secret, body, signWebhook(SECRET, '{"a":1}', seconds))).toBe(false);
  });

  it('does not hold for nonsense', () => {
    expect(verifyWebhook(SECRET, '{}', 'v1=abc')).toBe(false);
    expect(verifyWebhook(SECRET, '{}', '')).toBe(false);
  });
});
