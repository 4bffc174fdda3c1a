/**
 * @file The queue: how soon a submitted job starts on an idle stack, and what 10,000 queued jobs cost in memory and in
 * the time of a page. Starts an embedded database (and a Redis server for `redis`) in a temporary folder; needs a build.
 *
 *   node --require ./tools/register-typescript.cjs bench/queue.ts postgres|redis [JOBS]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { recipeSchema } from '../packages/core/dist';
import { loadConfig, openService, startEmbedded, startWorker, type Service } from '../packages/service/dist';
import { startTestRedis, TEST_STAGES_MODULE } from '../packages/service/dist/testing';
import { STAGES } from '../packages/service/dist/testing/stages';

const ROUNDS = 50;
/** Long enough for every process to be asleep again. */
const IDLE_MS = 300;

const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN;

const submit = (service: Service, projectId: string, text: string, type: string) =>
  service.jobs.submit(projectId, {
    recipe: recipeSchema.parse({ name: 'bench', stages: [{ type, config: { text } }] }),
    datasets: {},
  });

/** Milliseconds from the call that submits to the moment that a worker has taken the stage. */
async function submitToStart(service: Service, projectId: string): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = Date.now();
    const job = await submit(service, projectId, `start ${round}`, 'write');
    for (;;) {
      const { state, stages } = await service.jobs.get(projectId, job.id);
      const started = stages[0]?.startedAt;
      if (times.length === round && started) times.push(started.getTime() - before);
      if (state === 'succeeded') break;
      await sleep(20);
    }
    await sleep(IDLE_MS);
  }
  return times;
}

/** No worker runs: all stay queued. */
async function queueMany(service: Service, count: number): Promise<void> {
  const { id } = await service.projects.create({ name: 'many' });
  const before = performance.now();
  for (let number = 0; number < count; number++) {
    await submit(service, id, `queued ${number}`, 'write');
    if ((number + 1) % (count / 5) === 0) {
      global.gc?.();
      const { rss, heapUsed } = process.memoryUsage();
      console.log(`${number + 1} jobs: ${Math.round(rss / 1e6)} MB resident, ${Math.round(heapUsed / 1e6)} MB heap`);
    }
  }
  console.log(`submitted at ${Math.round((1000 * count) / (performance.now() - before))} jobs/s, one after another`);
  let cursor: string | undefined;
  const pages: number[] = [];
  do {
    const start = performance.now();
    const page = await service.jobs.list(id, { limit: 100, state: 'queued', ...(cursor ? { cursor } : {}) });
    pages.push(performance.now() - start);
    cursor = page.next ?? undefined;
  } while (cursor);
  const [first, last] = [pages.slice(0, 10), pages.slice(-10)];
  console.log(`page of 100: first ten ${mean(first)} ms, last ten ${mean(last)} ms (${pages.length} pages)`);
}

const mean = (values: readonly number[]): string =>
  (values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(1);

async function main(): Promise<void> {
  const [driver = 'postgres', count = '10000'] = process.argv.slice(2);
  const home = await mkdtemp(join(tmpdir(), 'modelpress-bench-'));
  const embedded = await startEmbedded(home);
  const redis = driver === 'redis' ? await startTestRedis() : undefined;
  const config = loadConfig({
    ...embedded.environment,
    MODELPRESS_LOG_LEVEL: 'silent',
    ...(redis === undefined ? {} : { MODELPRESS_QUEUE: 'redis', MODELPRESS_REDIS_URL: redis.url }),
  });
  const service = await openService(config, STAGES);
  const { id } = await service.projects.create({ name: 'bench' });
  const worker = await startWorker(config, { queue: 'prune', stages: STAGES, stagesModule: TEST_STAGES_MODULE });
  const times = await submitToStart(service, id);
  const [p50, p95] = [percentile(times, 0.5), percentile(times, 0.95)];
  console.log(`${driver}: submit to start p50 ${p50} ms, p95 ${p95} ms (${times.length} jobs on an idle stack)`);
  await worker.close();
  await queueMany(service, Number(count));
  await service.close();
  await redis?.stop();
  await embedded.stop();
  await rm(home, { recursive: true, force: true });
}

void main();
