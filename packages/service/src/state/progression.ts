/** @file What follows from a change: the next stages become ready, runs enter the queue, jobs end. */
import { ModelpressError, type SerializedError } from '@modelpress/core';
import { In } from 'typeorm';
import type { ProjectTransaction } from '../database/project-transaction';
import { StageRunEntity, type Job, type StageRun } from '../database/entities';
import { changeJob, changeRun, emitRunState, liveJobsOf, runsOf, updateRun } from './machine';
import { isFinal } from './states';

/** Called in the transaction that ends a job: writes its report. */
export type JobEnded = (tx: ProjectTransaction, job: Job) => Promise<void>;

/** Marks a queued run whose input is there as ready; `admit` then lets it into the queue. */
export async function markReady(tx: ProjectTransaction, run: StageRun): Promise<void> {
  await updateRun(tx, run, { waitingFor: 'project-limit' });
}

/** Lets ready runs into the queue, by priority and age, as far as the project's limit allows. */
export async function admit(tx: ProjectTransaction): Promise<void> {
  const { manager, project } = tx;
  const room = project.maxConcurrentRuns === null ? undefined : project.maxConcurrentRuns - (await countAdmitted(tx));
  if (room !== undefined && room <= 0) return;
  const ready = await manager.find(StageRunEntity, {
    where: { projectId: project.id, state: 'queued', waitingFor: 'project-limit' },
    order: { priority: 'DESC', id: 'ASC' },
    ...(room === undefined ? {} : { take: room }),
  });
  for (const run of ready) await enqueue(tx, run, 'worker', 0);
}

const countAdmitted = ({ manager, project }: ProjectTransaction): Promise<number> =>
  manager.count(StageRunEntity, {
    where: [
      { projectId: project.id, state: 'running' },
      { projectId: project.id, state: 'queued', waitingFor: In(['worker', 'retry-delay']) },
    ],
  });

/** Sends the run to its queue. */
export async function enqueue(
  tx: ProjectTransaction,
  run: StageRun,
  waitingFor: 'worker' | 'retry-delay',
  delayMs: number,
): Promise<void> {
  const now = Date.now();
  const queued = await updateRun(tx, run, {
    waitingFor,
    queuedAt: new Date(now),
    availableAt: delayMs === 0 ? null : new Date(now + delayMs),
  });
  await dispatch(tx, queued, delayMs);
  await emitRunState(tx, queued);
}

/** Sends a message of the run under a new dispatch number, which makes every earlier one stale. */
export async function dispatch(tx: ProjectTransaction, run: StageRun, delayMs: number): Promise<void> {
  const { queue, lane, id: runId, priority } = run;
  const { dispatch: number } = await updateRun(tx, run, { dispatch: run.dispatch + 1 });
  tx.send({ kind: 'enqueue', queue, lane, runId, dispatch: number, priority, delayMs });
}

/** Takes a run that will not start out of its queue. A message that was sent already is ignored when it arrives. */
export function withdraw(tx: ProjectTransaction, run: StageRun): void {
  const { queue, lane, id: runId, dispatch } = run;
  if (run.waitingFor === 'worker' || run.waitingFor === 'retry-delay')
    tx.send({ kind: 'withdraw', queue, lane, runId, dispatch });
}

/** After a run succeeded: its dependents become ready, its jobs may be done. */
export async function afterSuccess(tx: ProjectTransaction, run: StageRun, ended: JobEnded): Promise<void> {
  const dependents = await tx.manager.find(StageRunEntity, {
    where: { upstreamId: run.id, state: 'queued', waitingFor: 'stage' },
  });
  for (const dependent of dependents) await markReady(tx, dependent);
  await settleJobsOf(tx, run, ended);
  await admit(tx);
}

/** After a run failed or was cancelled for good: what reads its model cannot run either. */
export async function afterEnd(tx: ProjectTransaction, run: StageRun, ended: JobEnded): Promise<void> {
  const stranded = await tx.manager.find(StageRunEntity, {
    where: { upstreamId: run.id, state: In(['queued', 'paused']) },
  });
  for (const dependent of stranded) {
    withdraw(tx, dependent);
    const cancelled = await changeRun(tx, dependent, 'cancel', { error: upstreamError(run) });
    await afterEnd(tx, cancelled, ended);
  }
  await settleJobsOf(tx, run, ended);
  await admit(tx);
}

const upstreamError = (run: StageRun): SerializedError =>
  new ModelpressError('conflict', 'run.upstream', `The stage before it (${run.type}) has ${run.state}.`, {
    runId: run.id,
  }).toJSON();

async function settleJobsOf(tx: ProjectTransaction, run: StageRun, ended: JobEnded): Promise<void> {
  for (const job of await liveJobsOf(tx, run.id)) await settleJob(tx, job, ended);
}

/** Ends the job if all its runs have ended. */
export async function settleJob(tx: ProjectTransaction, job: Job, ended: JobEnded): Promise<Job> {
  const runs = await runsOf(tx, job.id);
  if (runs.some((run) => !isFinal(run.state))) return job;
  const failed = runs.find((run) => run.state === 'failed') ?? runs.find((run) => run.state === 'cancelled');
  const settled =
    failed === undefined
      ? await changeJob(tx, job, 'succeed')
      : await changeJob(tx, job, 'fail', { error: failed.error });
  await ended(tx, settled);
  return settled;
}

/** Jobs (other than `except`) that have not ended, or only those that are not paused, and want this run. */
export async function isWanted(
  tx: ProjectTransaction,
  run: StageRun,
  except: string,
  paused: 'count-paused' | 'ignore-paused',
): Promise<boolean> {
  const jobs = await liveJobsOf(tx, run.id);
  return jobs.some((job) => job.id !== except && (paused === 'count-paused' || job.state !== 'paused'));
}
