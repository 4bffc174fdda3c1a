import { invalid, type LogLevel } from '@modelpress/core';
import { In, MoreThan, type DataSource } from 'typeorm';
import { omit } from '../collections';
import type { Logs, LogView } from '../contract';
import { LogLineEntity } from '../database/entities';
import type { Signals } from '../database/signals';
import { isFinal } from '../state/states';
import { findRun } from './runs';

const DEFAULT_LIMIT = 1000;
const MAX_LIMIT = 10_000;
const POLL_MS = 2000;

/** Levels from the least important on. */
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export class LogService implements Logs {
  constructor(
    private readonly database: DataSource,
    private readonly signals: Signals,
  ) {}

  async list(
    projectId: string,
    runId: string,
    options: { readonly after?: number; readonly limit?: number; readonly level?: LogLevel } = {},
  ): Promise<readonly LogView[]> {
    const { after = 0, limit = DEFAULT_LIMIT, level = 'debug' } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
      throw invalid('logs.limit', `1 to ${MAX_LIMIT} lines.`, { field: 'limit' });
    }
    await findRun(this.database, projectId, runId);
    const rows = await this.database.manager.find(LogLineEntity, {
      where: { runId, id: MoreThan(after), level: In(LEVELS.slice(LEVELS.indexOf(level))) },
      order: { id: 'ASC' },
      take: limit,
    });
    return rows.map((line) => omit(line, 'runId'));
  }

  async *follow(projectId: string, runId: string, after: number, signal: AbortSignal): AsyncIterable<LogView> {
    const watch = this.signals.watch('logs', runId);
    try {
      let last = after;
      while (!signal.aborted) {
        // Looked at before the lines: what the run wrote before its end is then read in this round.
        const { state } = await findRun(this.database, projectId, runId);
        const lines = await this.list(projectId, runId, { after: last });
        yield* lines;
        last = lines.at(-1)?.id ?? last;
        if (lines.length > 0) continue;
        if (isFinal(state)) return;
        await watch.wait(POLL_MS, signal);
      }
    } finally {
      watch.end();
    }
  }
}
