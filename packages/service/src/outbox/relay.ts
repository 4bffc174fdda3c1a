/** @file Sends what transactions left in the outbox. Every process has a relay; row locks keep them apart. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource, EntityManager } from 'typeorm';
import { bigintToNumber } from '../database/columns';
import { OutboxEntity, type OutboxMessage } from '../database/entities';
import { updateRows } from '../database/write';
import type { Logger } from '../observe/logger';
import type { WorkQueue } from '../queue';
import { withTimeout } from '../timeout';
import { postWebhook } from './webhook';

/** Others' messages, and ours after a failure, are found this late at most. */
const POLL_MS = 1000;
const BATCH = 100;
const SEND_TIMEOUT_MS = 5000;
/** A webhook in flight is left alone by other relays for this long. */
const WEBHOOK_LEASE_S = 60;
const LONGEST_PAUSE_S = 3600;
/** About two days with the pauses below; then the receiver is given up. */
const WEBHOOK_TRIES = 60;

interface Row {
  readonly id: number;
  readonly message: OutboxMessage;
  readonly failures: number;
}

export class OutboxRelay {
  private readonly closing = new AbortController();
  private wakeUp = new AbortController();
  private loop: Promise<void> | undefined;

  constructor(
    private readonly database: DataSource,
    private readonly queue: WorkQueue,
    private readonly webhookSecret: string | undefined,
    private readonly log: Logger,
  ) {}

  start(): void {
    this.loop ??= this.run();
  }

  /** Looks at once instead of at the next poll. */
  wake(): void {
    this.wakeUp.abort();
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.wake();
    await this.loop;
  }

  private async run(): Promise<void> {
    while (!this.closing.signal.aborted) {
      this.wakeUp = new AbortController();
      const { signal } = this.wakeUp;
      try {
        const sent = (await this.sendToQueue()) + (await this.sendWebhooks());
        if (sent > 0) continue;
      } catch (error) {
        this.log.warn({ err: error }, 'The outbox could not be read.');
      }
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** A message is deleted in the transaction that read it; a crash in between sends it again, under the same id. */
  private sendToQueue(): Promise<number> {
    return this.database.transaction(async (manager) => {
      const rows = await take(manager, `message->>'kind' IN ('enqueue', 'withdraw')`);
      for (const row of rows) {
        try {
          // A queue server that does not answer must not hold the transaction open.
          await withTimeout(SEND_TIMEOUT_MS, this.deliver(row.message));
          await manager.delete(OutboxEntity, { id: row.id });
        } catch (error) {
          this.log.warn({ err: error, outbox: row.id }, 'A message could not be queued.');
          await postpone(manager, row, error);
        }
      }
      return rows.length;
    });
  }

  private async deliver(message: OutboxMessage): Promise<void> {
    switch (message.kind) {
      case 'enqueue': {
        const { priority, delayMs } = message;
        return this.queue.publish(message, { runId: message.runId, dispatch: message.dispatch }, { priority, delayMs });
      }
      case 'withdraw':
        return this.queue.withdraw(message, { runId: message.runId, dispatch: message.dispatch });
      case 'webhook':
        return postWebhook(this.webhookSecret ?? '', message.url, message.body);
    }
  }

  /** A receiver may take seconds, so its call is made outside any transaction, under a lease. */
  private async sendWebhooks(): Promise<number> {
    const rows = await this.database.transaction(async (manager) => {
      const taken = await take(manager, `message->>'kind' = 'webhook'`);
      const leased = new Date(Date.now() + WEBHOOK_LEASE_S * 1000);
      for (const { id } of taken) await updateRows(manager, OutboxEntity, { id }, { availableAt: leased });
      return taken;
    });
    await Promise.all(
      rows.map(async (row) => {
        try {
          await this.deliver(row.message);
          await this.database.manager.delete(OutboxEntity, { id: row.id });
        } catch (error) {
          this.log.warn({ err: error, outbox: row.id }, 'A webhook was not accepted.');
          if (row.failures + 1 >= WEBHOOK_TRIES) await this.database.manager.delete(OutboxEntity, { id: row.id });
          else await postpone(this.database.manager, row, error);
        }
      }),
    );
    return rows.length;
  }
}

async function take(manager: EntityManager, condition: string): Promise<Row[]> {
  const rows: { id: string; message: OutboxMessage; failures: number }[] = await manager.query(
    `SELECT id, message, failures FROM outbox WHERE available_at <= now() AND ${condition}
      ORDER BY id LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`,
  );
  return rows.map((row) => ({ ...row, id: bigintToNumber(row.id) ?? 0 }));
}

async function postpone(manager: EntityManager, { id, failures }: Row, error: unknown): Promise<void> {
  const pauseMs = Math.min(2 ** failures, LONGEST_PAUSE_S) * 1000;
  const changes = { failures: failures + 1, availableAt: new Date(Date.now() + pauseMs), lastError: String(error) };
  await updateRows(manager, OutboxEntity, { id }, changes);
}
