import type { Config } from '../config/config';
import { openPostgresQueue } from './postgres-queue';
import { openRedisQueue } from './redis-queue';
import type { WorkQueue } from './work-queue';

export * from './work-queue';

/** The queue of a configuration. `onError` hears of connection trouble, which the queue itself gets over. */
export function openQueue(config: Pick<Config, 'queue' | 'database'>, onError: (error: Error) => void): WorkQueue {
  return config.queue.driver === 'redis'
    ? openRedisQueue(config.queue.url, onError)
    : openPostgresQueue(config.database.url, onError);
}
