import { QUEUES, type QueueName } from '@modelpress/core';
import type { DataSource } from 'typeorm';
import { omit } from '../collections';
import type { QueueOverview, QueueStatus } from '../contract';
import { WorkerEntity } from '../database/entities';

export class QueueStatusService implements QueueStatus {
  constructor(private readonly database: DataSource) {}

  async overview(projectId: string): Promise<QueueOverview> {
    const counts: { queue: QueueName; waiting: number; running: number }[] = await this.database.query(
      `SELECT queue, count(*) FILTER (WHERE state = 'queued')::int AS waiting,
              count(*) FILTER (WHERE state = 'running')::int AS running
         FROM stage_run WHERE project_id = $1 AND state IN ('queued', 'running') GROUP BY queue`,
      [projectId],
    );
    const held: { worker: string; runs: number }[] = await this.database.query(
      `SELECT worker_id AS worker, count(*)::int AS runs FROM stage_run WHERE state = 'running' GROUP BY worker_id`,
    );
    const workers = await this.database.manager.find(WorkerEntity, { order: { queue: 'ASC', id: 'ASC' } });
    return {
      queues: QUEUES.map((queue) => {
        const { waiting = 0, running = 0 } = counts.find((count) => count.queue === queue) ?? {};
        return { queue, waiting, running, workers: workers.filter((worker) => worker.queue === queue).length };
      }),
      workers: workers.map((worker) => ({
        ...omit(worker, 'pid', 'machine'),
        runs: held.find((count) => count.worker === worker.id)?.runs ?? 0,
      })),
    };
  }
}
