/** @file The one way to change the state of anything in a project. */
import type { DataSource, EntityManager } from 'typeorm';
import type { EventKind, OutboxMessage } from './entities';
import { EventEntity, OutboxEntity, ProjectEntity, type Project } from './entities';
import { notFound } from '../errors';
import { notify } from './signals';
import { insertRows } from './write';

/**
 * A transaction that holds the project's lock. While it lasts nothing else changes the project's jobs and stage runs, so
 * code may read, decide and write without races; events get their ids in commit order; and two of them never deadlock.
 */
export class ProjectTransaction {
  private readonly events: { kind: EventKind; jobId: string | null; runId: string | null; data: object }[] = [];
  private readonly messages: { message: OutboxMessage; availableAt: Date }[] = [];
  private readonly stopped: string[] = [];

  constructor(
    readonly manager: EntityManager,
    readonly project: Project,
  ) {}

  /** Records something that happened; readers see it after the commit. */
  emit(kind: EventKind, of: { readonly jobId?: string | null; readonly runId?: string | null }, data: object): void {
    this.events.push({ kind, jobId: of.jobId ?? null, runId: of.runId ?? null, data });
  }

  /** Puts a message into the outbox: it is sent after the commit, and never if there is none. */
  send(message: OutboxMessage, availableAt = new Date()): void {
    this.messages.push({ message, availableAt });
  }

  /** Wakes the worker that holds the run, to look at its stop request. */
  signalStop(runId: string): void {
    this.stopped.push(runId);
  }

  /** Writes what was gathered. @returns whether there is something to send. */
  async flush(): Promise<boolean> {
    const time = new Date();
    if (this.events.length > 0) {
      await insertRows(
        this.manager,
        EventEntity,
        this.events.map((event) => ({ ...event, projectId: this.project.id, data: { ...event.data }, time })),
      );
      await notify(this.manager, { topic: 'events', id: this.project.id });
    }
    if (this.messages.length > 0) await insertRows(this.manager, OutboxEntity, this.messages);
    for (const runId of this.stopped) await notify(this.manager, { topic: 'stop', id: runId });
    return this.messages.length > 0;
  }
}

/** Opens transactions; `onMessages` is called after a commit that left something in the outbox. */
export class ProjectTransactions {
  constructor(
    readonly database: DataSource,
    private readonly onMessages: () => void = () => undefined,
  ) {}

  async run<T>(projectId: string, work: (tx: ProjectTransaction) => Promise<T>): Promise<T> {
    const { result, messages } = await this.database.transaction(async (manager) => {
      // NO KEY: rows that refer to the project can still be inserted by others (log lines).
      const project = await manager.findOne(ProjectEntity, {
        where: { id: projectId },
        lock: { mode: 'for_no_key_update' },
      });
      if (project === null) throw notFound('project', projectId);
      const tx = new ProjectTransaction(manager, project);
      const result = await work(tx);
      return { result, messages: await tx.flush() };
    });
    if (messages) this.onMessages();
    return result;
  }
}
