import { withBackend, type BackendFactory, type IQueueBackend, type Queue } from 'bullmq';
import type {
  Consumer,
  MessageHandler,
  PublishOptions,
  QueueAddress,
  QueueCounts,
  WorkMessage,
  WorkQueue,
} from './work-queue';

/** How BullMQ reaches its server. */
export interface BullConnection<B extends IQueueBackend, C> {
  readonly connection: C;
  readonly backend: BackendFactory<B, C>;
  /** Closes the connection after BullMQ's own. */
  close(): Promise<void>;
}

/** A worker that does not renew its hold on a message for this long has died; another one gets the message. */
const LOCK_MS = 30_000;
const STALLED_CHECK_MS = 15_000;
/** Redeliveries of one message; the database decides what a redelivery means, so this only bounds a broken loop. */
const MAX_STALLED = 1000;

const nameOf = ({ queue, lane }: QueueAddress): string => (lane === 'cpu' ? queue : `${queue}-${lane}`);
const idOf = ({ runId, dispatch }: WorkMessage): string => `${runId}-${dispatch}`;

type Producer<B extends IQueueBackend, C> = Queue<WorkMessage, void, string, WorkMessage, void, string, B, C>;

/** The queue on BullMQ: one BullMQ queue per address, messages under deterministic ids. */
export class BullQueue<B extends IQueueBackend, C> implements WorkQueue {
  private readonly producers = new Map<string, Producer<B, C>>();

  /** `onError` hears of connection trouble, which BullMQ itself gets over. */
  constructor(
    private readonly via: BullConnection<B, C>,
    private readonly onError: (error: Error) => void,
  ) {}

  async publish(address: QueueAddress, message: WorkMessage, options: PublishOptions): Promise<void> {
    await this.producer(address).add('run', message, {
      jobId: idOf(message),
      // BullMQ: 1 is first; and every message has one, because those without go before all others.
      priority: 10 - options.priority,
      delay: options.delayMs,
      attempts: 1,
      removeOnComplete: true,
      removeOnFail: true,
    });
  }

  async withdraw(address: QueueAddress, message: WorkMessage): Promise<void> {
    const job = await this.producer(address).getJob(idOf(message));
    // A message that a worker holds cannot be removed; the worker is told by its stop request instead.
    if (job !== undefined && !(await job.isActive())) await job.remove().catch(() => undefined);
  }

  async has(address: QueueAddress, message: WorkMessage): Promise<boolean> {
    return (await this.producer(address).getJob(idOf(message))) !== undefined;
  }

  async counts(address: QueueAddress): Promise<QueueCounts> {
    const counts = await this.producer(address).getJobCounts('waiting', 'prioritized', 'active', 'delayed');
    const of = (state: string): number => counts[state] ?? 0;
    return { waiting: of('waiting') + of('prioritized'), active: of('active'), delayed: of('delayed') };
  }

  async consume(address: QueueAddress, slots: number, handler: MessageHandler): Promise<Consumer> {
    const { Worker } = withBackend(this.via.backend);
    const worker = new Worker<WorkMessage, void>(
      nameOf(address),
      async (job) => handler({ runId: job.data.runId, dispatch: job.data.dispatch }),
      {
        connection: this.via.connection,
        concurrency: slots,
        lockDuration: LOCK_MS,
        stalledInterval: STALLED_CHECK_MS,
        maxStalledCount: MAX_STALLED,
      },
    );
    worker.on('error', this.onError);
    await worker.waitUntilReady();
    return { close: () => worker.close() };
  }

  async check(): Promise<void> {
    await this.counts({ queue: 'bench', lane: 'cpu' });
  }

  async close(): Promise<void> {
    await Promise.all([...this.producers.values()].map((producer) => producer.close()));
    await this.via.close();
  }

  private producer(address: QueueAddress): Producer<B, C> {
    const name = nameOf(address);
    const known = this.producers.get(name);
    if (known !== undefined) return known;
    const { Queue } = withBackend(this.via.backend);
    const made: Producer<B, C> = new Queue<WorkMessage, void>(name, { connection: this.via.connection });
    made.on('error', this.onError);
    this.producers.set(name, made);
    return made;
  }
}
