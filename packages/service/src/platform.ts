/** @file What an API process and a worker process both stand on, opened in one place and closed in reverse. */
import type { StageDefinitions } from '@modelpress/core';
import type { DataSource } from 'typeorm';
import { ArtifactStore } from './artifacts/artifact-store';
import type { Config } from './config/config';
import { migrate, openDatabase } from './database/data-source';
import { WorkerEntity } from './database/entities';
import { ProjectTransactions } from './database/project-transaction';
import { Signals } from './database/signals';
import { openObjectStore } from './objects';
import { createLogger, type Logger } from './observe/logger';
import { Metrics } from './observe/metrics';
import { OutboxRelay } from './outbox/relay';
import { openQueue, type WorkQueue } from './queue';
import { migratePostgresQueue } from './queue/postgres-queue';
import { endJob } from './services/report-writer';
import { Leases } from './state/leases';
import type { JobEnded } from './state/progression';

export interface Platform {
  readonly database: DataSource;
  readonly transactions: ProjectTransactions;
  readonly signals: Signals;
  readonly queue: WorkQueue;
  readonly store: ArtifactStore;
  readonly leases: Leases;
  readonly ended: JobEnded;
  readonly metrics: Metrics;
  readonly logger: Logger;
  forgetWorker(workerId: string): Promise<void>;
  close(): Promise<void>;
}

export async function openPlatform(config: Config, name: string, stages: StageDefinitions): Promise<Platform> {
  const logger = createLogger(name, config.logLevel);
  const database = await openDatabase(config.database);
  await migrate(database);
  if (config.queue.driver === 'postgres') await migratePostgresQueue(config.database.url);
  const signals = await Signals.open(config.database.url);
  const queue = openQueue(config, (error) => logger.warn({ err: error }, 'The queue has connection trouble.'));
  const relay = new OutboxRelay(database, queue, config.webhooks.secret, logger);
  const transactions = new ProjectTransactions(database, () => relay.wake());
  const ended = endJob(stages);
  const store = new ArtifactStore(database, await openObjectStore(config.objects));
  relay.start();
  return {
    database,
    transactions,
    signals,
    queue,
    store,
    leases: new Leases(transactions, config.attempts, ended),
    ended,
    metrics: new Metrics(database),
    logger,
    forgetWorker: async (workerId) => {
      await database.manager.delete(WorkerEntity, { id: workerId });
    },
    close: async () => {
      await relay.close();
      await queue.close();
      await signals.close();
      store.objects.close();
      await database.destroy();
    },
  };
}
