import { MoreThan, type DataSource } from 'typeorm';
import { omit } from '../collections';
import type { Events, EventView } from '../contract';
import { EventEntity } from '../database/entities';
import type { Signals } from '../database/signals';

const BATCH = 500;
const POLL_MS = 2000;

export class EventService implements Events {
  constructor(
    private readonly database: DataSource,
    private readonly signals: Signals,
  ) {}

  async *subscribe(
    projectId: string,
    scope: { readonly jobId?: string; readonly after?: number },
    signal: AbortSignal,
  ): AsyncIterable<EventView> {
    const watch = this.signals.watch('events', projectId);
    try {
      let last = scope.after ?? 0;
      while (!signal.aborted) {
        const rows = await this.database.manager.find(EventEntity, {
          where: { projectId, id: MoreThan(last), ...(scope.jobId === undefined ? {} : { jobId: scope.jobId }) },
          order: { id: 'ASC' },
          take: BATCH,
        });
        for (const event of rows) {
          if (signal.aborted) return;
          yield omit(event, 'projectId');
        }
        last = rows.at(-1)?.id ?? last;
        if (rows.length < BATCH) await watch.wait(POLL_MS, signal);
      }
    } finally {
      watch.end();
    }
  }
}
