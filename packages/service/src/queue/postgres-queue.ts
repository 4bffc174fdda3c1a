import { createPostgresBackend, runMigrations } from 'bullmq';
import { Pool } from 'pg';
import { BullQueue } from './bull-queue';
import type { WorkQueue } from './work-queue';

const SCHEMA = 'bullmq';
/** Connections for each address that is published to or consumed; a consumer listens on one more. */
const POOL_SIZE = 2;

/** The queue in the database itself: nothing else to run. BullMQ's tables live in a schema of their own. */
export function openPostgresQueue(url: string, onError: (error: Error) => void): WorkQueue {
  const connection = {
    connectionString: url,
    schema: SCHEMA,
    max: POOL_SIZE,
    // A connection that stays open saves the next submission from waiting for one.
    idleTimeoutMillis: 0,
    keepAlive: true,
    application_name: 'modelpress-queue',
  };
  return new BullQueue({ connection, backend: createPostgresBackend, close: async () => undefined }, onError);
}

/** Makes or updates BullMQ's tables. Safe to call from many processes at once. */
export async function migratePostgresQueue(url: string): Promise<void> {
  const pool = new Pool({ connectionString: url, max: 1 });
  try {
    const client = await pool.connect();
    await runMigrations(client, SCHEMA);
    client.release();
  } finally {
    await pool.end();
  }
}
