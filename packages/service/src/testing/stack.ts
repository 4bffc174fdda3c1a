/** @file A whole service in a test: its own database, folders and, if wanted, workers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QUEUES, type DatasetInfo, type Manifest, type QueueName } from '@modelpress/core';
import { loadConfig, type Config } from '../config/config';
import type { JobDetail, Service } from '../contract';
import { openService } from '../service';
import { isFinal } from '../state/states';
import { startWorker, type RunningWorker } from '../worker/worker';
import { eventually } from './eventually';
import { createTestDatabase } from './postgres';
import { STAGES } from './stages';

/** Compiled, because child processes load it. */
export const TEST_STAGES_MODULE = join(__dirname, '..', '..', 'dist', 'testing', 'stages.js');

export interface TestStack {
  readonly config: Config;
  readonly service: Service;
  /** A project with nothing in it. */
  readonly projectId: string;
  readonly folder: string;
  /** Variables that another process needs to join this stack. */
  readonly environment: Readonly<Record<string, string>>;
  startWorkers(queues?: readonly QueueName[]): Promise<RunningWorker[]>;
  /** Waits until the job has ended. */
  jobEnd(jobId: string, timeoutMs?: number): Promise<JobDetail>;
  close(): Promise<void>;
}

/** `variables`: configuration beyond what a test needs, e.g. a Redis queue. */
export async function openTestStack(variables: Readonly<Record<string, string>> = {}): Promise<TestStack> {
  const database = await createTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'modelpress-stack-'));
  const environment = {
    MODELPRESS_HOME: folder,
    MODELPRESS_DATABASE_URL: database.url,
    MODELPRESS_LOG_LEVEL: 'silent',
    MODELPRESS_RETRY_DELAY_MS: '10',
    MODELPRESS_STOP_GRACE_MS: '1000',
    ...variables,
  };
  const config = loadConfig(environment);
  const service = await openService(config, STAGES);
  const { id: projectId } = await service.projects.create({ name: 'test' });
  const workers: RunningWorker[] = [];
  return {
    config,
    service,
    projectId,
    folder,
    environment,
    startWorkers: async (queues = QUEUES) => {
      const started = await Promise.all(
        queues.map((queue) => startWorker(config, { queue, stages: STAGES, stagesModule: TEST_STAGES_MODULE })),
      );
      workers.push(...started);
      return started;
    },
    jobEnd: (jobId, timeoutMs) =>
      eventually(
        `job ${jobId} ends`,
        async () => {
          const job = await service.jobs.get(projectId, jobId);
          return isFinal(job.state) && job;
        },
        timeoutMs,
      ),
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close()));
      await service.close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const testManifest: Manifest = {
  format: 1,
  name: 'test',
  architecture: 'bert',
  task: 'classification',
  inputs: ['input_ids'],
  output: 'logits',
  maxLength: 64,
  components: [],
  parameters: { total: 10, embeddings: 5 },
  sparsity: {},
  config: {},
  provenance: [],
};

export const testDatasetInfo: DatasetInfo = {
  format: 1,
  name: 'test',
  kind: 'classification',
  labels: ['a', 'b'],
  splits: {
    test: { rows: 2, characters: { p50: 1, p95: 1, max: 1 }, labels: { a: 1, b: 1 }, emptyTexts: 0, duplicates: 0 },
  },
  warnings: [],
};
