/** @file The composition root of an API process. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StageDefinitions } from '@modelpress/core';
import type { Config } from './config/config';
import type { Readiness, Service } from './contract';
import { newId } from './ids';
import { openPlatform, type Platform } from './platform';
import { ArtifactService } from './services/artifacts';
import { DatasetService } from './services/datasets';
import { EventService } from './services/events';
import { IdempotencyService } from './services/idempotency';
import { JobService } from './services/jobs';
import { KeyService } from './services/keys';
import { LogService } from './services/logs';
import { ModelService } from './services/models';
import { ProjectService } from './services/projects';
import { QueueStatusService } from './services/queue-status';
import { RecipeService } from './services/recipes';
import { ReportService } from './services/reports';
import { RunService } from './services/runs';
import { sweep } from './services/sweeper';
import { withTimeout } from './timeout';
import { LostWorkers } from './worker/registration';
import { every } from './worker/timer';

const RECOVERY_MS = 5000;
const SWEEP_MS = 3_600_000;
/** A queue client waits for its server without an end; whoever asks for readiness does not. */
const CHECK_TIMEOUT_MS = 3000;

/** Opens everything that an API process needs and brings the database up to date. `stages`: the registry of stage types. */
export async function openService(config: Config, stages: StageDefinitions): Promise<Service> {
  const platform = await openPlatform(config, 'api', stages);
  const { database, transactions, signals, store, ended, logger, leases } = platform;
  const lost = new LostWorkers(database, leases);
  const stopTimers = [
    every(RECOVERY_MS, logger, () => lost.recover()),
    every(SWEEP_MS, logger, () => sweep(transactions, store.objects)),
  ];
  const projects = new ProjectService(database);
  const keys = new KeyService(database);
  await ensureBootstrapKey(config, projects, keys);
  return {
    stages,
    projects,
    keys,
    models: new ModelService(database, store),
    datasets: new DatasetService(database, store),
    recipes: new RecipeService(database, stages),
    jobs: new JobService(transactions, stages, config.webhooks.secret !== undefined, ended),
    runs: new RunService(database),
    logs: new LogService(database, signals),
    events: new EventService(database, signals),
    artifacts: new ArtifactService(store),
    reports: new ReportService(database),
    queue: new QueueStatusService(database),
    idempotency: new IdempotencyService(database),
    metrics: () => platform.metrics.registry.metrics(),
    readiness: () => readiness(platform),
    scratch: () => makeScratch(config),
    close: async () => {
      await Promise.all(stopTimers.map((stop) => stop()));
      await platform.close();
    },
  };
}

async function ensureBootstrapKey(config: Config, projects: ProjectService, keys: KeyService): Promise<void> {
  const { bootstrapKey } = config.api;
  if (bootstrapKey === undefined) return;
  const { id } = await projects.ensure('default');
  await keys.ensure(id, { name: 'MODELPRESS_API_KEY', role: 'admin', secret: bootstrapKey });
}

async function readiness({ database, queue, store }: Platform): Promise<Readiness> {
  const check = async (work: () => Promise<unknown>): Promise<{ ok: boolean; message: string }> =>
    withTimeout(CHECK_TIMEOUT_MS, work()).then(
      () => ({ ok: true, message: 'ok' }),
      // The cause may hold an address with a password; the log has it.
      () => ({ ok: false, message: 'does not answer' }),
    );
  const checks = {
    database: await check(() => database.query('SELECT 1')),
    queue: await check(() => queue.check()),
    objects: await check(() => store.objects.check()),
  };
  return { ready: Object.values(checks).every(({ ok }) => ok), checks };
}

async function makeScratch(config: Config): Promise<{ path: string; remove(): Promise<void> }> {
  const path = join(config.home, 'scratch', newId());
  await mkdir(path, { recursive: true });
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
