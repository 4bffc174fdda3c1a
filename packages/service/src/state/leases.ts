/** @file How a worker takes a stage run, gives it back, and loses it. */
import { ModelpressError, type Measurement, type SerializedError } from '@modelpress/core';
import type { ProjectTransaction, ProjectTransactions } from '../database/project-transaction';
import {
  AttemptEntity,
  MeasurementEntity,
  StageRunEntity,
  type Attempt,
  type RunResult,
  type StageRun,
  type StopRequest,
} from '../database/entities';
import { insertRows, updateRows } from '../database/write';
import { conflict } from '../errors';
import type { WorkMessage } from '../queue';
import { changeJob, changeRun, liveJobsOf } from './machine';
import { afterEnd, afterSuccess, dispatch, enqueue, type JobEnded } from './progression';
import type { AttemptState } from './states';

export interface AttemptLimits {
  readonly max: number;
  /** Pause before the second attempt; doubles with each one. */
  readonly delayMs: number;
}

/** A run in a worker's hands. Once the lease is lost every call with it raises `run.lease-lost` and changes nothing. */
export interface Lease {
  readonly runId: string;
  readonly projectId: string;
  readonly workerId: string;
  readonly attempt: number;
}

export interface Claim {
  readonly run: StageRun;
  readonly lease: Lease;
}

export interface AttemptOutcome {
  readonly outputId: string | null;
  readonly measurements: readonly Measurement[];
  readonly result: RunResult;
  readonly peakMemoryBytes: number | null;
}

const LONGEST_DELAY_MS = 10 * 60_000;

export class Leases {
  constructor(
    private readonly transactions: ProjectTransactions,
    private readonly limits: AttemptLimits,
    private readonly ended: JobEnded,
  ) {}

  /** Takes the run of a message; undefined when the message is stale. */
  async claim(message: WorkMessage, workerId: string): Promise<Claim | undefined> {
    const found = await this.transactions.database.manager.findOneBy(StageRunEntity, { id: message.runId });
    if (found === null) return undefined;
    return this.transactions.run(found.projectId, async (tx) => {
      const run = await tx.manager.findOneByOrFail(StageRunEntity, { id: message.runId });
      if (run.state !== 'queued' || run.dispatch !== message.dispatch) return undefined;
      const attempt = run.attempts + 1;
      await insertRows(tx.manager, AttemptEntity, [
        { runId: run.id, number: attempt, state: 'running', workerId, startedAt: new Date() },
      ]);
      const claimed = await changeRun(tx, run, 'start', {
        workerId,
        attempts: attempt,
        availableAt: null,
        error: null,
        progress: null,
      });
      for (const job of await liveJobsOf(tx, run.id)) if (job.state === 'queued') await changeJob(tx, job, 'start');
      return { run: claimed, lease: { runId: run.id, projectId: run.projectId, workerId, attempt } };
    });
  }

  /** Queues a message again that this worker has no room for. */
  async handBack(message: WorkMessage): Promise<void> {
    const found = await this.transactions.database.manager.findOneBy(StageRunEntity, { id: message.runId });
    if (found === null) return;
    await this.transactions.run(found.projectId, async (tx) => {
      const run = await tx.manager.findOneByOrFail(StageRunEntity, { id: message.runId });
      if (run.state !== 'queued' || run.dispatch !== message.dispatch) return;
      await dispatch(tx, run, 0);
    });
  }

  /** The attempt has succeeded: keeps its result, readies what comes next. */
  succeed(lease: Lease, outcome: AttemptOutcome): Promise<void> {
    return this.withHeldRun(lease, async (tx, run) => {
      await endAttempt(tx, run, 'succeeded', null, outcome.peakMemoryBytes);
      await tx.manager.delete(MeasurementEntity, { runId: run.id });
      await insertRows(
        tx.manager,
        MeasurementEntity,
        outcome.measurements.map((document) => ({ runId: run.id, metric: document.metric, document })),
      );
      const { outputId, result } = outcome;
      const progress = { fraction: 1, phase: 'done' };
      const succeeded = await changeRun(tx, run, 'succeed', {
        outputId,
        result,
        progress,
        error: null,
        checkpointId: null,
      });
      await afterSuccess(tx, succeeded, this.ended);
    });
  }

  /** The attempt has failed: another one follows if that may help. */
  fail(lease: Lease, error: ModelpressError, kept: Kept): Promise<void> {
    return this.withHeldRun(lease, async (tx, run) => {
      await endAttempt(tx, run, 'failed', error.toJSON(), kept.peakMemoryBytes);
      await this.tryAgain(tx, run, error.toJSON(), mayPass(error), kept.checkpointId);
    });
  }

  /** The attempt was ended because someone asked for it, or because its worker shuts down. */
  stop(lease: Lease, kept: Kept): Promise<void> {
    return this.withHeldRun(lease, async (tx, run) => {
      const request = run.stopRequest;
      await endAttempt(tx, run, request === 'cancel' ? 'cancelled' : 'stopped', null, kept.peakMemoryBytes);
      await this.giveUp(tx, run, request, kept.checkpointId);
    });
  }

  /** The worker of this run has died. */
  lose(run: StageRun): Promise<void> {
    return this.transactions.run(run.projectId, async (tx) => {
      const now = await tx.manager.findOneByOrFail(StageRunEntity, { id: run.id });
      if (now.state !== 'running' || now.attempts !== run.attempts) return;
      const error = new ModelpressError('unavailable', 'worker.lost', 'The worker that ran this stage has died.', {
        workerId: run.workerId,
      }).toJSON();
      await endAttempt(tx, now, 'lost', error, null);
      if (now.stopRequest === null) await this.tryAgain(tx, now, error, true, now.checkpointId);
      else await this.giveUp(tx, now, now.stopRequest, now.checkpointId);
    });
  }

  private async tryAgain(
    tx: ProjectTransaction,
    run: StageRun,
    error: SerializedError,
    worthwhile: boolean,
    checkpointId: string | null,
  ): Promise<void> {
    const failures = run.failures + 1;
    if (!worthwhile || failures >= this.limits.max) {
      await afterEnd(tx, await changeRun(tx, run, 'fail', { error, failures, checkpointId }), this.ended);
      return;
    }
    const queued = await changeRun(tx, run, 'requeue', { error, failures, checkpointId });
    const delayMs = Math.min(this.limits.delayMs * 2 ** (failures - 1), LONGEST_DELAY_MS);
    await enqueue(tx, queued, 'retry-delay', delayMs);
  }

  /** Null: nobody asked (any more), so it goes back to the queue at once. */
  private async giveUp(
    tx: ProjectTransaction,
    run: StageRun,
    request: StopRequest | null,
    checkpointId: string | null,
  ): Promise<void> {
    if (request === 'cancel') await afterEnd(tx, await changeRun(tx, run, 'cancel', { checkpointId }), this.ended);
    else if (request === 'pause') await changeRun(tx, run, 'pause', { checkpointId });
    else await enqueue(tx, await changeRun(tx, run, 'requeue', { checkpointId }), 'worker', 0);
  }

  private withHeldRun(lease: Lease, work: (tx: ProjectTransaction, run: StageRun) => Promise<void>): Promise<void> {
    return this.transactions.run(lease.projectId, async (tx) => {
      const run = await tx.manager.findOneBy(StageRunEntity, { id: lease.runId });
      if (run?.state !== 'running' || run.workerId !== lease.workerId || run.attempts !== lease.attempt) {
        throw leaseLost(lease.runId);
      }
      await work(tx, run);
      await dropLiveEvents(tx, lease.runId);
    });
  }
}

/** What an attempt that did not succeed leaves behind. */
export interface Kept {
  readonly checkpointId: string | null;
  readonly peakMemoryBytes: number | null;
}

export const leaseLost = (runId: string): ModelpressError =>
  conflict('run.lease-lost', 'This worker no longer holds the stage run.', { runId });

export const isLeaseLost = (error: unknown): boolean =>
  error instanceof ModelpressError && error.code === 'run.lease-lost';

/** Crashes and outages may pass; a wrong input will be wrong again. */
function mayPass(error: ModelpressError): boolean {
  switch (error.kind) {
    case 'internal':
    case 'unavailable':
      return true;
    case 'invalid':
    case 'unsupported':
    case 'not-found':
    case 'conflict':
    case 'limit':
    case 'unauthorized':
    case 'forbidden':
    case 'cancelled':
      return false;
  }
}

async function endAttempt(
  tx: ProjectTransaction,
  run: StageRun,
  state: AttemptState,
  error: Attempt['error'],
  peakMemoryBytes: number | null,
): Promise<void> {
  await updateRows(
    tx.manager,
    AttemptEntity,
    { runId: run.id, number: run.attempts },
    { state, error, peakMemoryBytes, finishedAt: new Date() },
  );
}

/** Progress of an attempt that has ended interests nobody; its curves are kept apart. */
async function dropLiveEvents(tx: ProjectTransaction, runId: string): Promise<void> {
  await tx.manager.query(`DELETE FROM event WHERE run_id = $1 AND kind IN ('run.progress', 'run.metrics')`, [runId]);
}
