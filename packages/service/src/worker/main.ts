/** @file What the four worker apps have in common: configuration, signals, metrics. */
import { createServer } from 'node:http';
import { STAGES, type QueueName } from '@modelpress/core';
import { loadConfig } from '../config/config';
import { createLogger } from '../observe/logger';
import { startWorker, type RunningWorker } from './worker';

/** Serves one queue until SIGTERM or SIGINT. The process ends with code 1 if it cannot start. */
export async function runWorker(queue: QueueName): Promise<void> {
  try {
    const config = loadConfig();
    const stagesModule = require.resolve('@modelpress/core');
    const worker = await startWorker(config, { queue, stages: STAGES, stagesModule });
    const { metricsPort } = config.worker;
    const server = metricsPort === undefined ? undefined : serveMetrics(worker, metricsPort);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        server?.close();
        void worker.close();
      });
    }
  } catch (error) {
    createLogger(`worker-${queue}`, 'info').fatal({ err: error }, 'The worker could not start.');
    process.exitCode = 1;
  }
}

function serveMetrics(worker: RunningWorker, port: number) {
  const server = createServer((request, response) => {
    if (request.url === '/health') return void response.end('ok\n');
    if (request.url !== '/metrics') return void response.writeHead(404).end();
    worker.metrics().then(
      (text) => response.setHeader('content-type', 'text/plain; version=0.0.4').end(text),
      () => response.writeHead(503).end(),
    );
    return undefined;
  });
  return server.listen(port);
}
