/** @file A worker process with the test stages, for tests that kill it. */
import { QUEUES } from '@modelpress/core';
import { loadConfig } from '../config/config';
import { startWorker } from '../worker/worker';
import { STAGES } from './stages';

async function main(): Promise<void> {
  const config = loadConfig();
  const options = { stages: STAGES, stagesModule: require.resolve('./stages') };
  const workers = await Promise.all(QUEUES.map((queue) => startWorker(config, { queue, ...options })));
  process.send?.('ready');
  process.on('SIGTERM', () => void Promise.all(workers.map((worker) => worker.close())));
}

void main();
