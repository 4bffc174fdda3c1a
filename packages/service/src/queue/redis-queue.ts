import { createRedisBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { BullQueue } from './bull-queue';
import type { WorkQueue } from './work-queue';

/** The queue on Redis, for many workers. Its server must not evict keys (`maxmemory-policy noeviction`). */
export function openRedisQueue(url: string, onError: (error: Error) => void): WorkQueue {
  // BullMQ waits for messages on a command without an end, so commands must not give up on a lost connection.
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', onError);
  const close = async (): Promise<void> => {
    await redis.quit();
  };
  return new BullQueue({ connection: redis, backend: createRedisBackend, close }, onError);
}
