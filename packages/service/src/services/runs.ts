import { type DataSource } from 'typeorm';
import type { Page, PageRequest, RunDetail, Runs, RunView, Waiting } from '../contract';
import {
  AttemptEntity,
  JobStageEntity,
  MeasurementEntity,
  StageRunEntity,
  WorkerEntity,
  type StageRun,
} from '../database/entities';
import { groupBy, omit } from '../collections';
import { notFound } from '../errors';
import { isId } from '../ids';
import type { State } from '../state/states';
import { findPage } from './paging';

const DEFAULT_POINTS = 2000;

export class RunService implements Runs {
  constructor(private readonly database: DataSource) {}

  async get(projectId: string, runId: string): Promise<RunDetail> {
    const run = await findRun(this.database, projectId, runId);
    const { manager } = this.database;
    const attempts = await manager.find(AttemptEntity, { where: { runId }, order: { number: 'ASC' } });
    const measurements = await manager.find(MeasurementEntity, { where: { runId }, order: { id: 'ASC' } });
    const stages = await manager.findBy(JobStageEntity, { runId });
    return {
      ...viewOf(run, await this.waitingOf(run)),
      attempts: attempts.map((attempt) => omit(attempt, 'runId')),
      measurements: measurements.map(({ document }) => document),
      jobs: [...new Set(stages.map(({ jobId }) => jobId))],
    };
  }

  list(
    projectId: string,
    filter: PageRequest & { readonly state?: State; readonly type?: string } = {},
  ): Promise<Page<RunView>> {
    const { state, type, ...page } = filter;
    const where = { projectId, ...(state === undefined ? {} : { state }), ...(type === undefined ? {} : { type }) };
    return findPage(this.database, StageRunEntity, where, page, (rows) =>
      Promise.all(rows.map(async (run) => viewOf(run, await this.waitingOf(run)))),
    );
  }

  async metrics(
    projectId: string,
    runId: string,
    limit = DEFAULT_POINTS,
  ): Promise<readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[]> {
    const { attempts } = await findRun(this.database, projectId, runId);
    // Every k-th point of a curve, and always the last one.
    const rows: { name: string; step: number; value: number }[] = await this.database.query(
      `SELECT name, step, value FROM (
         SELECT id, name, step, value, row_number() OVER curve AS place, count(*) OVER (PARTITION BY name) AS total
           FROM metric_point WHERE run_id = $1 AND attempt = $2
         WINDOW curve AS (PARTITION BY name ORDER BY id)) AS points
        WHERE place = total OR (place - 1) % greatest(1, ceil(total::float / $3)::int) = 0
        ORDER BY id`,
      [runId, attempts, limit],
    );
    return [...groupBy(rows, ({ name }) => name)].map(([name, points]) => ({
      name,
      points: points.map(({ step, value }) => [step, value] as const),
    }));
  }

  private async waitingOf(run: StageRun): Promise<Waiting | null> {
    switch (run.waitingFor) {
      case null:
        return null;
      case 'stage':
        return { reason: 'stage', message: 'An earlier stage must finish first.' };
      case 'project-limit':
        return { reason: 'project-limit', message: 'The project runs as many stages as it may at once.' };
      case 'retry-delay':
        return {
          reason: 'retry-delay',
          message: `Attempt ${run.attempts} failed (${run.error?.message ?? 'no reason given'}); the next one follows.`,
          ...(run.availableAt === null ? {} : { until: run.availableAt }),
        };
      case 'worker':
        return this.queueWaiting(run);
    }
  }

  private async queueWaiting(run: StageRun): Promise<Waiting> {
    const position = await this.positionOf(run);
    const workers = await this.database.manager.findBy(WorkerEntity, { queue: run.queue });
    if (!workers.some(({ lanes }) => lanes.includes(run.lane))) {
      const message = `No worker serves the queue ${run.queue} (${run.lane}) at the moment.`;
      return { reason: 'no-worker', message, position };
    }
    const message = position === 0 ? 'It is next when a worker is free.' : `${position} stage runs start before it.`;
    return { reason: 'worker', message, position };
  }

  /** Runs of all projects that are before it in its queue: higher priority first, then older. */
  private async positionOf({ queue, lane, priority, queuedAt, id }: StageRun): Promise<number> {
    const rows: { ahead: number }[] = await this.database.query(
      `SELECT count(*)::int AS ahead FROM stage_run
        WHERE state = 'queued' AND queue = $1 AND lane = $2 AND waiting_for = 'worker'
          AND (priority > $3 OR (priority = $3 AND (queued_at, id) < ($4, $5)))`,
      [queue, lane, priority, queuedAt, id],
    );
    return rows[0]?.ahead ?? 0;
  }
}

export async function findRun(database: DataSource, projectId: string, runId: string): Promise<StageRun> {
  const found = isId(runId) ? await database.manager.findOneBy(StageRunEntity, { id: runId, projectId }) : null;
  if (found === null) throw notFound('run', runId);
  return found;
}

const viewOf = (run: StageRun, waiting: Waiting | null): RunView => ({
  id: run.id,
  key: run.key,
  type: run.type,
  version: run.version,
  queue: run.queue,
  lane: run.lane,
  config: run.config,
  seed: run.seed,
  upstreamId: run.upstreamId,
  state: run.state,
  waiting,
  error: run.error,
  priority: run.priority,
  progress: run.progress,
  outputId: run.outputId,
  result: run.result,
  createdAt: run.createdAt,
  startedAt: run.startedAt,
  finishedAt: run.finishedAt,
});
