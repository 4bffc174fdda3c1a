import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { recipeSchema } from '@modelpress/core';
import type { JobDetail } from '../contract';
import { isAlive } from '../embedded/postmaster';
import { eventually, openTestStack, type TestStack } from '../testing';

const WORKER_MAIN = join(__dirname, '..', '..', 'dist', 'testing', 'worker-main.js');

let stack: TestStack;
const processes: ChildProcess[] = [];

beforeAll(async () => {
  // Kills count as failed attempts, and one run may be hit by all of them.
  stack = await openTestStack({ MODELPRESS_MAX_ATTEMPTS: '10' });
});
afterAll(async () => {
  await killAll();
  await stack.close();
});

async function killAll(): Promise<void> {
  for (const worker of processes) {
    if (worker.exitCode !== null || worker.signalCode !== null) continue;
    worker.kill('SIGKILL');
    await once(worker, 'exit');
  }
}

/** A process with a worker for every queue. */
async function startProcess(): Promise<ChildProcess> {
  const worker = fork(WORKER_MAIN, { env: { ...process.env, ...stack.environment } });
  processes.push(worker);
  await once(worker, 'message');
  return worker;
}

const submit = (text: string, steps: number): Promise<JobDetail> =>
  stack.service.jobs.submit(stack.projectId, {
    recipe: recipeSchema.parse({
      name: 'recovery',
      stages: [
        { type: 'write', config: { text, steps } },
        { type: 'append', config: { text: '!' } },
      ],
    }),
    datasets: {},
  });

const working = (job: JobDetail): Promise<JobDetail> =>
  eventually('the first stage works', async () => {
    const now = await stack.service.jobs.get(stack.projectId, job.id);
    return (now.stages[0]?.progress?.fraction ?? 0) > 0 && now;
  });

const attemptsOf = async (job: JobDetail): Promise<string[]> => {
  const run = await stack.service.runs.get(stack.projectId, job.stages[0]?.runId ?? '');
  return run.attempts.map(({ state }) => state);
};

/** Ids of the child processes of a process. */
async function childrenOf(pid: number): Promise<number[]> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

describe('when a worker is killed in the middle of a stage', () => {
  it('another one finishes the job from the last checkpoint', async () => {
    const first = await startProcess();
    const job = await submit('killed', 60);
    await working(job);
    const children = await childrenOf(first.pid ?? 0);
    first.kill('SIGKILL');
    await once(first, 'exit');
    await startProcess();
    const done = await stack.jobEnd(job.id);
    expect(done.state).toBe('succeeded');
    expect(await attemptsOf(done)).toEqual(['lost', 'succeeded']);
    const starts = (await stack.service.logs.list(stack.projectId, done.stages[0]?.runId ?? '')).filter(({ message }) =>
      message.startsWith('starts at step'),
    );
    expect(starts.at(-1)?.message).not.toBe('starts at step 0');
    await eventually('its child has ended too', () => children.every((pid) => !isAlive(pid)));
  });
});

describe('when a worker is told to end', () => {
  it('gives its work back, without counting it as a failure', async () => {
    const worker = processes.at(-1) as ChildProcess;
    const job = await submit('told', 60);
    await working(job);
    worker.kill('SIGTERM');
    await once(worker, 'exit');
    const waiting = await stack.service.jobs.get(stack.projectId, job.id);
    expect(waiting.stages[0]).toMatchObject({ state: 'queued', waitingFor: 'worker' });
    expect(await attemptsOf(job)).toEqual(['stopped']);
    await startProcess();
    const done = await stack.jobEnd(job.id);
    expect(done.state).toBe('succeeded');
    expect(await attemptsOf(job)).toEqual(['stopped', 'succeeded']);
  });
});

describe('when workers are killed again and again', () => {
  it('every job ends, and no stage is run twice to completion', async () => {
    await Promise.all([startProcess(), startProcess()]);
    const jobs = await Promise.all(Array.from({ length: 6 }, (_, number) => submit(`chaos ${number}`, 10)));
    for (let kills = 0; kills < 3; kills++) {
      await eventually('work is under way', async () => {
        const { items } = await stack.service.runs.list(stack.projectId, { state: 'running' });
        return items.length > 0;
      });
      const victim = processes.find((worker) => worker.signalCode === null && worker.exitCode === null);
      victim?.kill('SIGKILL');
      await startProcess();
    }
    const ended = await Promise.all(jobs.map((job) => stack.jobEnd(job.id, 150_000)));
    expect(ended.map(({ state }) => state)).toEqual(jobs.map(() => 'succeeded'));
    for (const { runId } of ended.flatMap(({ stages }) => stages)) {
      const { attempts } = await stack.service.runs.get(stack.projectId, runId);
      expect(attempts.filter(({ state }) => state === 'succeeded')).toHaveLength(1);
      expect(attempts.filter(({ state }) => state === 'running')).toHaveLength(0);
    }
  }, 200_000);
});

describe('when every process dies', () => {
  it('a cancelled job stays cancelled and its run is not started again', async () => {
    const job = await submit('cancelled', 10_000);
    await working(job);
    await killAll();
    await stack.service.jobs.cancel(stack.projectId, job.id);
    await startProcess();
    await eventually('the run is given up', async () => {
      const { stages } = await stack.service.jobs.get(stack.projectId, job.id);
      return stages.every(({ state }) => state === 'cancelled');
    });
    expect(await attemptsOf(job)).toHaveLength(1);
  });
});
