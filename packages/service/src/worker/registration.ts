/** @file A worker's row: who is there, and since when nobody has heard of them. */
import { hostname, cpus } from 'node:os';
import { In, type DataSource } from 'typeorm';
import type { QueueName } from '@modelpress/core';
import type { WorkerConfig } from '../config/config';
import { StageRunEntity, WorkerEntity, type StageRun, type WorkerRow } from '../database/entities';
import { isAlive } from '../embedded/postmaster';
import type { Leases } from '../state/leases';
import { machineIdentity } from './machine';

/** A worker that was not heard of for this long is taken for dead. */
export const LOST_AFTER_MS = 15_000;

export function describeWorker(id: string, queue: QueueName, config: WorkerConfig): WorkerRow {
  const now = new Date();
  return {
    id,
    name: `${queue}@${hostname()}:${process.pid}`,
    host: hostname(),
    machine: machineIdentity(),
    pid: process.pid,
    queue,
    lanes: [...config.lanes],
    slots: config.slots,
    cores: cpus().length,
    memoryBytes: config.memoryBytes,
    usedMemoryBytes: process.memoryUsage.rss(),
    startedAt: now,
    seenAt: now,
  };
}

/** Also brings the row back if others took this worker for dead (it was suspended). */
export async function reportAlive(database: DataSource, worker: WorkerRow, usedMemoryBytes: number): Promise<void> {
  await database.manager.upsert(WorkerEntity, { ...worker, usedMemoryBytes, seenAt: new Date() }, ['id']);
}

/** Runs among these that the worker still holds. */
export function heldRuns(database: DataSource, workerId: string, runIds: readonly string[]): Promise<StageRun[]> {
  return database.manager.findBy(StageRunEntity, { id: In([...runIds]), state: 'running', workerId });
}

/** Finds workers that have died and takes their runs from them. Every process has one; they do not mind each other. */
export class LostWorkers {
  private readonly machine = machineIdentity();
  /** When each worker was last heard of, as of this process's last look. */
  private lastSeen = new Map<string, number>();

  constructor(
    private readonly database: DataSource,
    private readonly leases: Leases,
  ) {}

  /** @returns how many runs had lost their worker. */
  async recover(): Promise<number> {
    await this.dropDeadWorkers();
    const orphans: StageRun[] = await this.database
      .createQueryBuilder(StageRunEntity, 'run')
      .where(`run.state = 'running'`)
      .andWhere('NOT EXISTS (SELECT 1 FROM worker WHERE worker.id = run.worker_id)')
      .getMany();
    for (const run of orphans) await this.leases.lose(run);
    return orphans.length;
  }

  private async dropDeadWorkers(): Promise<void> {
    const workers = await this.database.manager.find(WorkerEntity);
    const dead = workers.filter((worker) => this.isDead(worker));
    this.lastSeen = new Map(workers.map(({ id, seenAt }) => [id, seenAt.getTime()]));
    for (const { id, seenAt } of dead) await this.database.manager.delete(WorkerEntity, { id, seenAt });
  }

  private isDead({ id, machine, pid, seenAt }: WorkerRow): boolean {
    // On this machine there is no need to wait: the process table knows.
    if (machine === this.machine) return !isAlive(pid);
    // Nothing new since the last look either: when the database was away, nobody could report, and all get their chance
    // once it is back. It also makes clocks that differ harmless.
    const silent = Date.now() - seenAt.getTime() > LOST_AFTER_MS;
    return silent && this.lastSeen.get(id) === seenAt.getTime();
  }
}
