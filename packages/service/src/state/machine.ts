/** @file Every change of a job's or a stage run's state. Each writes its event in the same transaction. */
import { In } from 'typeorm';
import { conflict } from '../errors';
import type { ProjectTransaction } from '../database/project-transaction';
import { JobEntity, JobStageEntity, StageRunEntity, type Job, type StageRun } from '../database/entities';
import { updateRows } from '../database/write';
import { FINAL_STATES, isFinal, JOB_TRANSITIONS, RUN_TRANSITIONS, type Action, type State } from './states';

const PAST: Readonly<Record<Action, string>> = {
  start: 'started',
  requeue: 'queued again',
  pause: 'paused',
  resume: 'resumed',
  succeed: 'completed',
  fail: 'failed',
  cancel: 'cancelled',
  retry: 'retried',
};

function refuse(what: 'job' | 'stage run', id: string, state: State, action: Action): never {
  const message = `A ${state} ${what} cannot be ${PAST[action]}.`;
  throw conflict(`${what === 'job' ? 'job' : 'run'}.${action}`, message, { id, state });
}

/** Times that follow from a state: when it began to run, when it ended. */
function timesFor(state: State, startedAt: Date | null): { startedAt?: Date; finishedAt: Date | null } {
  const now = new Date();
  return {
    ...(state === 'running' && startedAt === null ? { startedAt: now } : {}),
    finishedAt: isFinal(state) ? now : null,
  };
}

export type JobChanges = Partial<Pick<Job, 'error'>>;

/** @returns the job as it is now. @throws ModelpressError `conflict` where the table does not allow the action. */
export async function changeJob(
  tx: ProjectTransaction,
  job: Job,
  action: Action,
  changes: JobChanges = {},
): Promise<Job> {
  const state = JOB_TRANSITIONS[job.state][action] ?? refuse('job', job.id, job.state, action);
  const update = { ...changes, state, ...timesFor(state, job.startedAt) };
  await updateRows(tx.manager, JobEntity, { id: job.id, state: job.state }, update);
  const changed = { ...job, ...update };
  tx.emit('job.state', { jobId: job.id }, { state, previous: job.state, error: changed.error });
  return changed;
}

export type RunChanges = Partial<
  Pick<
    StageRun,
    | 'waitingFor'
    | 'error'
    | 'attempts'
    | 'failures'
    | 'availableAt'
    | 'workerId'
    | 'stopRequest'
    | 'progress'
    | 'outputId'
    | 'checkpointId'
    | 'result'
    | 'inputs'
  >
>;

/** @returns the run as it is now. @throws ModelpressError `conflict` where the table does not allow the action. */
export async function changeRun(
  tx: ProjectTransaction,
  run: StageRun,
  action: Action,
  changes: RunChanges = {},
): Promise<StageRun> {
  const state = RUN_TRANSITIONS[run.state][action] ?? refuse('stage run', run.id, run.state, action);
  const held = state === 'running' ? {} : { workerId: null, stopRequest: null };
  const update = { waitingFor: null, ...changes, ...held, state, ...timesFor(state, run.startedAt) };
  await updateRows(tx.manager, StageRunEntity, { id: run.id, state: run.state }, update);
  const changed = { ...run, ...update };
  await emitRunState(tx, changed);
  return changed;
}

/** Changes that leave the state as it is. */
export async function updateRun(
  tx: ProjectTransaction,
  run: StageRun,
  changes: RunChanges & Partial<Pick<StageRun, 'dispatch' | 'queuedAt' | 'priority'>>,
): Promise<StageRun> {
  await updateRows(tx.manager, StageRunEntity, { id: run.id }, changes);
  return { ...run, ...changes };
}

/** Tells every live job of the run about its state. */
export async function emitRunState(tx: ProjectTransaction, run: StageRun): Promise<void> {
  const { type, state, waitingFor, attempts, error } = run;
  for (const job of await liveJobsOf(tx, run.id)) {
    tx.emit('run.state', { jobId: job.id, runId: run.id }, { type, state, waitingFor, attempt: attempts, error });
  }
}

/** Jobs that have not ended and want this run, oldest first. */
export function liveJobsOf(tx: ProjectTransaction, runId: string): Promise<Job[]> {
  return tx.manager
    .createQueryBuilder(JobEntity, 'job')
    .where((query) => {
      const ids = query.subQuery().select('stage.jobId').from(JobStageEntity, 'stage').where('stage.runId = :runId');
      return `job.id IN ${ids.getQuery()}`;
    })
    .andWhere('job.state NOT IN (:...final)')
    .setParameters({ runId, final: FINAL_STATES })
    .orderBy('job.id')
    .getMany();
}

/** The distinct stage runs of a job, oldest first: a run comes after the one it reads. */
export async function runsOf(tx: ProjectTransaction, jobId: string): Promise<StageRun[]> {
  const stages = await tx.manager.find(JobStageEntity, { where: { jobId }, select: { runId: true } });
  const ids = [...new Set(stages.map(({ runId }) => runId))];
  return ids.length === 0 ? [] : tx.manager.find(StageRunEntity, { where: { id: In(ids) }, order: { id: 'ASC' } });
}
