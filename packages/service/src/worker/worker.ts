/** @file The loop that all worker apps share. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { QueueName, StageDefinitions } from '@modelpress/core';
import { ArtifactCache } from '../artifacts/cache';
import { workFolder, type Config } from '../config/config';
import type { Consumer, WorkMessage } from '../queue';
import { newId } from '../ids';
import type { Logger } from '../observe/logger';
import { openPlatform, type Platform } from '../platform';
import type { Claim } from '../state/leases';
import { executeAttempt, type AttemptTools, type RunningAttempt } from './attempt';
import { patiently } from './insist';
import { reconcileQueue } from './reconcile';
import { Recorder } from './recorder';
import { describeWorker, heldRuns, LostWorkers, reportAlive } from './registration';
import { Slots } from './slots';
import { every } from './timer';

/** Also the longest time that a stop request waits when its signal got lost. */
const HEARTBEAT_MS = 1000;
const RECOVERY_MS = 5000;
const RECONCILE_MS = 30_000;
/** A message in the hands of a busy worker is kept from others for so long at most. */
const HOLD_MS = 2000;

export interface WorkerOptions {
  readonly queue: QueueName;
  readonly stages: StageDefinitions;
  /** Module that exports the same registry as `STAGES`; child processes load it. */
  readonly stagesModule: string;
}

export interface RunningWorker {
  readonly id: string;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** Takes no more work, stops what runs (it goes back to the queue with its checkpoints) and resolves when all is put away. */
  close(): Promise<void>;
}

export async function startWorker(config: Config, options: WorkerOptions): Promise<RunningWorker> {
  const platform = await openPlatform(config, `worker-${options.queue}`, options.stages);
  return new WorkerLoop(config, options, platform).start();
}

class WorkerLoop {
  private readonly id = newId();
  private readonly logger: Logger;
  private readonly running = new Map<string, RunningAttempt>();
  private readonly tools: AttemptTools;
  private readonly stopTimers: (() => Promise<void>)[] = [];
  private readonly slots: Slots;
  private readonly closing = new AbortController();
  private consumers: Consumer[] = [];
  private closed: Promise<void> | undefined;

  constructor(
    private readonly config: Config,
    private readonly options: WorkerOptions,
    private readonly platform: Platform,
  ) {
    this.logger = platform.logger.child({ worker: this.id });
    this.slots = new Slots(config.worker.slots);
    const folder = workFolder(config, options.queue);
    this.tools = {
      transactions: platform.transactions,
      leases: platform.leases,
      store: platform.store,
      cache: new ArtifactCache(platform.store, join(folder, 'cache'), config.worker.cacheBytes),
      config: config.worker,
      logger: this.logger,
      folder: join(folder, 'runs'),
      stagesModule: options.stagesModule,
    };
  }

  async start(): Promise<RunningWorker> {
    const { database, signals, leases, queue, logger } = this.platform;
    const self = describeWorker(this.id, this.options.queue, this.config.worker);
    await mkdir(this.tools.folder, { recursive: true });
    await reportAlive(database, self, self.usedMemoryBytes);
    const lost = new LostWorkers(database, leases);
    await lost.recover();
    signals.on('stop', (runId) => {
      if (this.running.has(runId)) void this.lookForStops().catch((error: unknown) => this.warn(error));
    });
    this.stopTimers.push(
      every(HEARTBEAT_MS, logger, async () => {
        await reportAlive(database, self, this.usedMemory());
        await this.lookForStops();
      }),
      every(RECOVERY_MS, logger, () => lost.recover()),
      every(RECONCILE_MS, logger, () => reconcileQueue(database, queue, this.options.queue)),
    );
    this.consumers = await Promise.all(
      this.config.worker.lanes.map((lane) =>
        queue.consume({ queue: this.options.queue, lane }, this.config.worker.slots, (message) => this.handle(message)),
      ),
    );
    logger.info({ lanes: self.lanes, slots: self.slots }, 'The worker waits for work.');
    return { id: this.id, metrics: () => this.platform.metrics.registry.metrics(), close: () => this.close() };
  }

  /** All lanes share the slots; a message that finds none free goes back, for a worker that has one. */
  private async handle(message: WorkMessage): Promise<void> {
    if (!(await this.slots.acquire(HOLD_MS))) return this.platform.leases.handBack(message);
    try {
      const claim = await patiently(this.logger, this.closing.signal, () =>
        this.platform.leases.claim(message, this.id),
      );
      if (claim !== undefined) await this.execute(claim);
    } finally {
      this.slots.release();
    }
  }

  private async execute({ run, lease }: Claim): Promise<void> {
    const recorder = new Recorder(this.platform.transactions, lease, this.logger);
    const running: RunningAttempt = { lease, recorder, abort: new AbortController() };
    this.running.set(run.id, running);
    const stopTimer = this.platform.metrics.attempt(run);
    try {
      await executeAttempt(this.tools, run, running);
    } finally {
      stopTimer();
      this.running.delete(run.id);
    }
  }

  /** Ends attempts that are to stop, and those whose run was given to someone else. */
  private async lookForStops(): Promise<void> {
    const attempts = [...this.running.values()];
    if (attempts.length === 0) return;
    const held = await heldRuns(
      this.platform.database,
      this.id,
      attempts.map(({ lease }) => lease.runId),
    );
    for (const { lease, abort } of attempts) {
      const run = held.find(({ id, attempts: number }) => id === lease.runId && number === lease.attempt);
      if (run === undefined || run.stopRequest !== null) abort.abort();
    }
  }

  private usedMemory(): number {
    const children = [...this.running.values()].reduce((sum, { recorder }) => sum + recorder.memoryBytes, 0);
    return process.memoryUsage.rss() + children;
  }

  private close(): Promise<void> {
    this.closed ??= this.putAway();
    return this.closed;
  }

  private async putAway(): Promise<void> {
    this.logger.info('The worker puts its work away and ends.');
    this.closing.abort();
    const closing = Promise.all(this.consumers.map((consumer) => consumer.close()));
    for (const { abort } of this.running.values()) abort.abort();
    await closing;
    await Promise.all(this.stopTimers.map((stop) => stop()));
    await this.platform.forgetWorker(this.id);
    await this.platform.close();
  }

  private warn(error: unknown): void {
    this.logger.warn({ err: error }, 'Stop requests could not be read.');
  }
}
