/** @file A real PostgreSQL server for a whole Jest run, and an empty migrated database for each test file. */
import { randomUUID } from 'node:crypto';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelpressError } from '@modelpress/core';
import { Client } from 'pg';
import { migrate, openDatabase } from '../database/data-source';
import { startCluster, type Cluster } from '../embedded/cluster';
import { migratePostgresQueue } from '../queue/postgres-queue';

const TEMPLATE = 'template_migrated';
const LOCK_STALE_MS = 60_000;

export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** Folder of this Jest run; tools/jest.global-setup.cjs makes it and tools/jest.global-teardown.cjs removes it. */
export function testRunFolder(): string {
  const folder = process.env['MODELPRESS_TEST_RUN'];
  if (folder === undefined) {
    throw new ModelpressError('internal', 'testing.run-folder', 'Run tests through Jest: its global setup is missing.');
  }
  return folder;
}

/** An empty database with all tables. The server is started by the first test that asks and ended with the Jest run. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const cluster = await testCluster();
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await onServer(cluster, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`));
  return {
    url: cluster.url(name),
    drop: () => onServer(cluster, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`)),
  };
}

async function testCluster(): Promise<Cluster> {
  const folder = join(testRunFolder(), 'postgres');
  return exclusively(`${folder}.lock`, async () => {
    // Tests need no protection against power cuts.
    const cluster = await startCluster({
      folder,
      settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' },
    });
    const ready = `${folder}.ready`;
    if ((await stat(ready).catch(() => undefined)) === undefined) {
      await cluster.ensureDatabase(TEMPLATE);
      const database = await openDatabase({ url: cluster.url(TEMPLATE) });
      await migrate(database);
      await database.destroy();
      await migratePostgresQueue(cluster.url(TEMPLATE));
      await writeFile(ready, '');
    }
    return cluster;
  });
}

async function onServer(cluster: Cluster, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: cluster.url('postgres') });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** Runs `work` in one of the Jest processes at a time. */
async function exclusively<T>(lock: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      await mkdir(lock);
      break;
    } catch {
      const held = await stat(lock).catch(() => undefined);
      if (held !== undefined && Date.now() - held.mtimeMs > LOCK_STALE_MS)
        await rm(lock, { recursive: true, force: true });
      await sleep(25);
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { recursive: true, force: true });
  }
}
