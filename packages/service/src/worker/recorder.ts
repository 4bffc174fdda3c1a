/** @file What a running stage reports, written to the database in batches. */
import type { Progress } from '@modelpress/core';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProjectTransactions } from '../database/project-transaction';
import { LogLineEntity, MetricPointEntity, StageRunEntity, type LogLine, type MetricPoint } from '../database/entities';
import { notify } from '../database/signals';
import { insertRows, updateRows } from '../database/write';
import type { Logger } from '../observe/logger';
import type { RunnerListener, RunnerLogLine } from '../runner/runner';
import { liveJobsOf } from '../state/machine';
import type { Lease } from '../state/leases';

const LOG_EVERY_MS = 250;
/** Progress and curve points take the project's lock, so they are written less often than log lines. */
const PROGRESS_EVERY_MS = 1000;
/** Lines and points kept while the database is away; the oldest go first. */
const MAX_PENDING = 10_000;
const MAX_LINE_LENGTH = 20_000;

export class Recorder implements RunnerListener {
  private lines: Omit<LogLine, 'id'>[] = [];
  private points: Omit<MetricPoint, 'id'>[] = [];
  private latest: Progress | undefined;
  private lastProgressAt = 0;
  private readonly closing = new AbortController();
  private readonly loop: Promise<void>;
  /** Most memory that the stage's process has used. */
  peakMemoryBytes: number | null = null;
  memoryBytes = 0;

  constructor(
    private readonly transactions: ProjectTransactions,
    private readonly lease: Lease,
    private readonly logger: Logger,
  ) {
    this.loop = this.run();
  }

  progress(progress: Progress): void {
    this.latest = progress;
  }

  log({ time, level, message, fields }: RunnerLogLine): void {
    const { runId, attempt } = this.lease;
    const text = message.length > MAX_LINE_LENGTH ? `${message.slice(0, MAX_LINE_LENGTH)} ...` : message;
    // PostgreSQL text cannot hold a zero character.
    this.lines.push({ runId, attempt, time, level, message: text.replaceAll('\0', ''), fields: { ...fields } });
    if (this.lines.length > MAX_PENDING) this.lines.shift();
  }

  metric(name: string, step: number, value: number): void {
    const { runId, attempt } = this.lease;
    if (Number.isFinite(value)) this.points.push({ runId, attempt, name, step, value });
    else this.log({ time: new Date(), level: 'warn', message: `${name} is ${value} at step ${step}`, fields: {} });
  }

  memory(bytes: number, peakBytes: number): void {
    this.memoryBytes = bytes;
    this.peakMemoryBytes = Math.max(this.peakMemoryBytes ?? 0, peakBytes);
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.loop;
  }

  private async run(): Promise<void> {
    while (!this.closing.signal.aborted) {
      await sleep(LOG_EVERY_MS, undefined, { signal: this.closing.signal }).catch(() => undefined);
      await this.flush();
    }
  }

  private async flush(): Promise<void> {
    try {
      await this.flushLines();
      const due = Date.now() - this.lastProgressAt >= PROGRESS_EVERY_MS || this.closing.signal.aborted;
      if (due && (this.latest !== undefined || this.points.length > 0)) await this.flushProgress();
    } catch (error) {
      this.logger.warn({ err: error, run: this.lease.runId }, 'Progress could not be written; it stays pending.');
    }
  }

  private async flushLines(): Promise<void> {
    if (this.lines.length === 0) return;
    const lines = this.lines;
    this.lines = [];
    try {
      const { manager } = this.transactions.database;
      await insertRows(manager, LogLineEntity, lines);
      await notify(manager, { topic: 'logs', id: this.lease.runId });
    } catch (error) {
      this.lines = [...lines, ...this.lines].slice(-MAX_PENDING);
      throw error;
    }
  }

  private async flushProgress(): Promise<void> {
    const [progress, points] = [this.latest, this.points];
    this.latest = undefined;
    this.points = [];
    try {
      await this.writeProgress(progress, points);
      this.lastProgressAt = Date.now();
    } catch (error) {
      this.latest ??= progress;
      this.points = [...points, ...this.points].slice(-MAX_PENDING);
      throw error;
    }
  }

  private async writeProgress(progress: Progress | undefined, points: Omit<MetricPoint, 'id'>[]): Promise<void> {
    const { runId, projectId, workerId, attempt } = this.lease;
    await this.transactions.run(projectId, async (tx) => {
      const held = { id: runId, state: 'running' as const, workerId, attempts: attempt };
      if (progress !== undefined && (await updateRows(tx.manager, StageRunEntity, held, { progress })) === 0) return;
      await insertRows(tx.manager, MetricPointEntity, points);
      for (const { id: jobId } of await liveJobsOf(tx, runId)) {
        if (progress !== undefined) tx.emit('run.progress', { jobId, runId }, { ...progress, attempt });
        if (points.length > 0) {
          const shown = points.map(({ name, step, value }) => ({ name, step, value }));
          tx.emit('run.metrics', { jobId, runId }, { points: shown, attempt });
        }
      }
    });
  }
}
