import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { DataSource } from 'typeorm';
import type { StageRun } from '../database/entities';

/** Figures of one process, and of the whole service as the database knows it. */
export class Metrics {
  readonly registry = new Registry();
  private readonly attempts: Counter<'type' | 'queue'>;
  private readonly seconds: Histogram<'type' | 'queue'>;

  constructor(database: DataSource) {
    collectDefaultMetrics({ register: this.registry });
    const registers = [this.registry];
    this.attempts = new Counter({
      name: 'modelpress_attempts_total',
      help: 'Attempts of stage runs that this process started.',
      labelNames: ['type', 'queue'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'modelpress_attempt_seconds',
      help: 'Wall time of attempts.',
      labelNames: ['type', 'queue'],
      buckets: [1, 5, 15, 60, 300, 900, 3600, 4 * 3600],
      registers,
    });
    const runs = new Gauge({
      name: 'modelpress_runs',
      help: 'Stage runs that are queued or running, by queue.',
      labelNames: ['queue', 'lane', 'state'],
      registers,
      async collect() {
        const rows: { queue: string; lane: string; state: string; count: number }[] = await database.query(
          `SELECT queue, lane, state, count(*)::int AS count FROM stage_run
            WHERE state IN ('queued', 'running') GROUP BY queue, lane, state`,
        );
        this.reset();
        for (const { count, ...labels } of rows) this.set(labels, count);
      },
    });
    runs.reset();
    new Gauge({
      name: 'modelpress_outbox_messages',
      help: 'Messages that wait to be sent.',
      registers,
      async collect() {
        const rows: { count: number }[] = await database.query('SELECT count(*)::int AS count FROM outbox');
        this.set(rows[0]?.count ?? 0);
      },
    }).set(0);
  }

  /** Counts an attempt. @returns what to call at its end. */
  attempt({ type, queue }: Pick<StageRun, 'type' | 'queue'>): () => void {
    this.attempts.inc({ type, queue });
    return this.seconds.startTimer({ type, queue });
  }
}
