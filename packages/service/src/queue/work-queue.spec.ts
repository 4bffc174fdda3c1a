import { randomUUID } from 'node:crypto';
import { createTestDatabase, eventually, hasRedis, startTestRedis } from '../testing';
import { openPostgresQueue } from './postgres-queue';
import { openRedisQueue } from './redis-queue';
import type { Consumer, MessageHandler, QueueAddress, WorkMessage, WorkQueue } from './work-queue';

const fail = (error: Error): never => {
  throw error;
};

interface Server {
  open(): WorkQueue;
  stop(): Promise<void>;
}

async function postgres(): Promise<Server> {
  const database = await createTestDatabase();
  return { open: () => openPostgresQueue(database.url, fail), stop: () => database.drop() };
}

async function redis(): Promise<Server> {
  const server = await startTestRedis();
  return { open: () => openRedisQueue(server.url, fail), stop: () => server.stop() };
}

const ADDRESS: QueueAddress = { queue: 'prune', lane: 'cpu' };
const NOW = { priority: 5, delayMs: 0 };
const message = (dispatch = 1): WorkMessage => ({ runId: randomUUID(), dispatch });

suite('PostgreSQL', postgres);
suite('Redis', redis, hasRedis() ? describe : describe.skip);

/** Without its server a suite is shown as skipped. */
function suite(name: string, start: () => Promise<Server>, declare: jest.Describe = describe): void {
  declare(`work queue: ${name}`, () => {
    let server: Server;
    let queue: WorkQueue;
    const consumers: Consumer[] = [];

    beforeAll(async () => {
      server = await start();
      queue = server.open();
    });
    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.close()));
    });
    afterAll(async () => {
      await queue.close();
      await server.stop();
    });

    const consume = async (handler: MessageHandler, slots = 1, address = ADDRESS): Promise<Consumer> => {
      const consumer = await queue.consume(address, slots, handler);
      consumers.push(consumer);
      return consumer;
    };
    const collect = async (slots = 1): Promise<WorkMessage[]> => {
      const seen: WorkMessage[] = [];
      await consume(async (got) => void seen.push(got), slots);
      return seen;
    };

    it('hands a message to a waiting consumer', async () => {
      const seen = await collect();
      const sent = message();
      await queue.publish(ADDRESS, sent, NOW);
      await eventually('it arrives', () => seen.length === 1);
      expect(seen).toEqual([sent]);
      await eventually('it is gone', async () => !(await queue.has(ADDRESS, sent)));
    });

    it('keeps messages until there is a consumer, highest priority first, then in order', async () => {
      const [first, second, urgent, idle] = [message(), message(), message(), message()];
      await queue.publish(ADDRESS, idle, { priority: 0, delayMs: 0 });
      await queue.publish(ADDRESS, first, NOW);
      await queue.publish(ADDRESS, second, NOW);
      await queue.publish(ADDRESS, urgent, { priority: 9, delayMs: 0 });
      expect(await queue.counts(ADDRESS)).toEqual({ waiting: 4, active: 0, delayed: 0 });
      const seen = await collect();
      await eventually('all arrive', () => seen.length === 4);
      expect(seen).toEqual([urgent, first, second, idle]);
    });

    it('takes the same message once', async () => {
      const sent = message();
      await queue.publish(ADDRESS, sent, NOW);
      await queue.publish(ADDRESS, sent, NOW);
      await queue.publish(ADDRESS, { ...sent, dispatch: 2 }, NOW);
      const seen = await collect();
      await eventually('both arrive', async () => (await queue.counts(ADDRESS)).waiting === 0 && seen.length >= 2);
      expect(seen).toEqual([sent, { ...sent, dispatch: 2 }]);
    });

    it('holds a message back for a while', async () => {
      const seen = await collect();
      const [later, now] = [message(), message()];
      await queue.publish(ADDRESS, later, { priority: 9, delayMs: 400 });
      await queue.publish(ADDRESS, now, NOW);
      await eventually('both arrive', () => seen.length === 2);
      expect(seen).toEqual([now, later]);
    });

    it('takes a waiting or delayed message out', async () => {
      const [waiting, delayed] = [message(), message()];
      await queue.publish(ADDRESS, waiting, NOW);
      await queue.publish(ADDRESS, delayed, { priority: 5, delayMs: 60_000 });
      await queue.withdraw(ADDRESS, waiting);
      await queue.withdraw(ADDRESS, delayed);
      await queue.withdraw(ADDRESS, message());
      expect(await queue.counts(ADDRESS)).toEqual({ waiting: 0, active: 0, delayed: 0 });
    });

    it('lets a held message be finished when it is withdrawn', async () => {
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      await consume(() => held);
      const sent = message();
      await queue.publish(ADDRESS, sent, NOW);
      await eventually('it is held', async () => (await queue.counts(ADDRESS)).active === 1);
      await queue.withdraw(ADDRESS, sent);
      expect(await queue.has(ADDRESS, sent)).toBe(true);
      release();
      await eventually('it is gone', async () => !(await queue.has(ADDRESS, sent)));
    });

    it('fills every slot and no more', async () => {
      let running = 0;
      let most = 0;
      const done: WorkMessage[] = [];
      await consume(async (got) => {
        most = Math.max(most, ++running);
        await eventually('another has started', () => running === 2 || done.length >= 4, 1000).catch(() => undefined);
        running -= 1;
        done.push(got);
      }, 2);
      for (let index = 0; index < 6; index++) await queue.publish(ADDRESS, message(), NOW);
      await eventually('all are done', () => done.length === 6);
      expect(most).toBe(2);
    });

    it('does not hand a message out again when its handler fails', async () => {
      let calls = 0;
      await consume(async () => {
        calls += 1;
        throw new Error('no luck');
      });
      const sent = message();
      await queue.publish(ADDRESS, sent, NOW);
      await eventually('it is gone', async () => calls > 0 && !(await queue.has(ADDRESS, sent)));
      expect(calls).toBe(1);
    });

    it('keeps lanes and queues apart', async () => {
      const seen = await collect();
      const gpu: QueueAddress = { queue: 'prune', lane: 'gpu' };
      const [sent, other] = [message(), message()];
      await queue.publish(gpu, other, NOW);
      await queue.publish(ADDRESS, sent, NOW);
      await eventually('one arrives', () => seen.length === 1);
      expect(seen).toEqual([sent]);
      expect((await queue.counts(gpu)).waiting).toBe(1);
      await queue.withdraw(gpu, other);
    });

    it('finishes what it holds before it closes', async () => {
      let finished = false;
      const consumer = await consume(async () => {
        await new Promise((resolve) => setTimeout(resolve, 200));
        finished = true;
      });
      await queue.publish(ADDRESS, message(), NOW);
      await eventually('it is held', async () => (await queue.counts(ADDRESS)).active === 1);
      await consumer.close();
      expect(finished).toBe(true);
    });

    it('answers a check', async () => {
      await expect(queue.check()).resolves.toBeUndefined();
    });
  });
}
