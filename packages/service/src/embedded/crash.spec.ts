import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipeSchema } from '@modelpress/core';
import { loadConfig } from '../config/config';
import type { JobDetail, Service } from '../contract';
import { openService } from '../service';
import { isFinal } from '../state/states';
import { eventually } from '../testing';
import { STAGES } from '../testing/stages';
import { startEmbedded, type Embedded } from './embedded';
import { isAlive, readPostmaster } from './postmaster';

const WORKER_MAIN = join(__dirname, '..', '..', 'dist', 'testing', 'worker-main.js');

let home: string;
let embedded: Embedded;
let service: Service;
let projectId: string;
let worker: ChildProcess;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'modelpress-crash-'));
  embedded = await startEmbedded(home);
  const environment = { ...embedded.environment, MODELPRESS_LOG_LEVEL: 'silent', MODELPRESS_RETRY_DELAY_MS: '10' };
  service = await openService(loadConfig(environment), STAGES);
  ({ id: projectId } = await service.projects.create({ name: 'crash' }));
  worker = fork(WORKER_MAIN, { env: { ...process.env, ...environment } });
  await once(worker, 'message');
});
afterAll(async () => {
  const exited = once(worker, 'exit');
  worker.kill('SIGTERM');
  await exited;
  await service.close();
  await embedded.stop();
  await rm(home, { recursive: true, force: true });
});

const look = async (job: JobDetail): Promise<JobDetail | undefined> =>
  service.jobs.get(projectId, job.id).catch(() => undefined);

describe('a database that is killed while a stage runs', () => {
  it('comes back, and the stage and the job end as if nothing had happened', async () => {
    const stages = [{ type: 'write', config: { text: 'crash', steps: 100 } }, { type: 'append' }];
    const recipe = recipeSchema.parse({ name: 'crash', stages });
    const job = await service.jobs.submit(projectId, { recipe, datasets: {} });
    await eventually('it works', async () => ((await look(job))?.stages[0]?.progress?.fraction ?? 0) > 0);
    const before = await readPostmaster(join(home, 'postgres', 'data'));
    process.kill(before?.pid ?? 0, 'SIGKILL');
    await eventually('it is gone', () => !isAlive(before?.pid ?? 0));
    const done = await eventually('the job ends', async () => {
      const now = await look(job);
      return now !== undefined && isFinal(now.state) && now;
    });
    expect(done).toMatchObject({ state: 'succeeded', error: null });
    const run = await service.runs.get(projectId, done.stages[0]?.runId ?? '');
    expect(run.attempts.map(({ state }) => state)).toEqual(['succeeded']);
    const [curve] = await service.runs.metrics(projectId, run.id);
    expect(curve?.points.at(-1)?.[0]).toBe(100);
    expect((await readPostmaster(join(home, 'postgres', 'data')))?.pid).not.toBe(before?.pid);
  });
});
