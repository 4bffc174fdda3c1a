/** @file Wake-ups between processes over PostgreSQL's LISTEN and NOTIFY. Who misses one finds out by polling. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';

const CHANNEL = 'modelpress';
const RETRY_MS = 1000;

const signalSchema = z.object({
  topic: z.enum([
    /** A project has new events. */
    'events',
    /** A stage run has a stop request. */
    'stop',
    /** A stage run has new log lines. */
    'logs',
  ]),
  id: z.string(),
});
export type Signal = z.infer<typeof signalSchema>;

/** Sends a signal; inside a transaction it goes out with the commit. */
export async function notify(manager: EntityManager, signal: Signal): Promise<void> {
  await manager.query('SELECT pg_notify($1, $2)', [CHANNEL, JSON.stringify(signal)]);
}

type Listener = (id: string) => void;

export interface Watch {
  /** Resolves at once if a signal came since the last wait; else at the next one, after the time, or at the abort. */
  wait(timeoutMs: number, abort: AbortSignal): Promise<void>;
  end(): void;
}

/** Listens on one connection of its own, and opens it again when it breaks. */
export class Signals {
  private readonly listeners = new Map<Signal['topic'], Set<Listener>>();
  private client: Client | undefined;
  private closed = false;

  private constructor(private readonly url: string) {}

  static async open(url: string): Promise<Signals> {
    const signals = new Signals(url);
    await signals.connect();
    return signals;
  }

  /** Calls the listener with each signal of the topic. @returns a function that ends it. */
  on(topic: Signal['topic'], listener: Listener): () => void {
    const listeners = this.listeners.get(topic) ?? new Set();
    this.listeners.set(topic, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Remembers signals of this topic and id from now on, so that none is missed between a look and a wait. */
  watch(topic: Signal['topic'], id: string): Watch {
    let pending = false;
    let wake = (): void => undefined;
    const off = this.on(topic, (which) => {
      if (which !== id) return;
      pending = true;
      wake();
    });
    const wait = async (timeoutMs: number, abort: AbortSignal): Promise<void> => {
      if (!pending) {
        const arrived = new AbortController();
        wake = () => arrived.abort();
        await sleep(timeoutMs, undefined, { signal: AbortSignal.any([abort, arrived.signal]) }).catch(() => undefined);
      }
      pending = false;
    };
    return { wait, end: off };
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const client = new Client({ connectionString: this.url, keepAlive: true, application_name: 'modelpress-signals' });
    client.on('error', () => undefined);
    client.on('notification', ({ payload }) => this.dispatch(payload ?? ''));
    await client.connect();
    await client.query(`LISTEN ${CHANNEL}`);
    client.on('end', () => {
      if (!this.closed) void this.reconnect();
    });
    this.client = client;
  }

  private async reconnect(): Promise<void> {
    while (!this.closed) {
      try {
        await sleep(RETRY_MS, undefined, { ref: false });
        await this.connect();
        return;
      } catch {
        // The database is away; whoever uses it directly reports that.
      }
    }
  }

  private dispatch(payload: string): void {
    const parsed = signalSchema.safeParse(JSON.parse(payload));
    if (!parsed.success) return;
    for (const listener of this.listeners.get(parsed.data.topic) ?? []) listener(parsed.data.id);
  }
}
