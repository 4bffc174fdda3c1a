/** @file Entry of the child process that runs one attempt of one stage. */
import { mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import {
  cancelled,
  ModelpressError,
  switchNative,
  type LogLevel,
  type StageDefinition,
  type StageDefinitions,
} from '@modelpress/core';
import { toChildSchema, type FromChild, type StartMessage } from './messages';

const HEARTBEAT_MS = 1000;

const abort = new AbortController();

function send(message: FromChild): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

const post = (message: FromChild): void => void send(message);

function heartbeat(): void {
  // maxRSS is in kilobytes and never falls.
  post({
    kind: 'heartbeat',
    memoryBytes: process.memoryUsage.rss(),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  });
}

function loadStage(modulePath: string, type: string): StageDefinition {
  const loaded = createRequire(__filename)(modulePath) as { readonly STAGES?: StageDefinitions };
  const definition = loaded.STAGES?.[type];
  if (definition === undefined) {
    throw new ModelpressError('internal', 'runner.stage', `This worker knows no stage "${type}".`, { type });
  }
  return definition;
}

async function runStage(start: StartMessage): Promise<void> {
  const definition = loadStage(start.stagesModule, start.type);
  await rm(start.output, { recursive: true, force: true });
  await mkdir(start.output, { recursive: true });
  await mkdir(start.checkpoints, { recursive: true });
  const config = definition.schema.parse(start.config);
  switchNative(start.native ?? 'auto');
  const result = await definition.run(config, {
    model: start.model ?? undefined,
    baseline: start.baseline ?? undefined,
    ...(start.teachers === undefined ? {} : { teachers: start.teachers }),
    datasets: start.datasets,
    output: start.output,
    checkpoints: start.checkpoints,
    ...(start.cache === undefined ? {} : { cache: start.cache }),
    seed: start.seed,
    threads: start.threads,
    signal: abort.signal,
    progress: (progress) => post({ kind: 'progress', progress: { ...progress } }),
    log: (level: LogLevel, message, fields = {}) =>
      post({ kind: 'log', level, message, fields: { ...fields }, time: Date.now() }),
    metric: (name, step, value) => post({ kind: 'metric', name, step, value }),
  });
  if (abort.signal.aborted) throw cancelled(abort.signal.reason);
  heartbeat();
  await send({
    kind: 'result',
    result: {
      ...(result.model === undefined ? {} : { model: result.model }),
      measurements: [...result.measurements],
      sections: [...result.sections],
      warnings: [...result.warnings],
    },
  });
}

async function main(start: StartMessage): Promise<void> {
  const timer = setInterval(heartbeat, HEARTBEAT_MS);
  timer.unref();
  try {
    await runStage(start);
  } catch (thrown) {
    await send({ kind: 'error', error: { ...ModelpressError.from(thrown).toJSON() } });
  }
  process.disconnect();
}

process.on('message', (raw) => {
  const message = toChildSchema.parse(raw);
  if (message.kind === 'abort') abort.abort();
  else void main(message);
});
// The worker is gone: nobody could store what this process makes. A normal end disconnects too and has nothing left.
process.once('disconnect', () => process.exit());
// Ctrl-C in a terminal reaches the whole process group; the worker decides what it means.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => abort.abort());
post({ kind: 'ready' });
