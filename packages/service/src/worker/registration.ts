/** @file A worker's row: who is there, and since when nobody has heard of them. */
import { hostname, cpus } from 'node:os';
import { In, type DataSource } from 'typeorm';
import type { QueueName } from '@modelpress/core';
import type { WorkerConfig } from '../config/config';
import { StageRunEntity, WorkerEntity, type StageRun, type WorkerRow } from '../database/entities';
import { isAlive } from '../embedded/postmaster';
import type { Leases } from '../state/leases';

/** A worker that was not heard of for this long is taken for dead. */
export const LOST_AFTER_MS = 15_000;

export function describeWorker(id: string, queue: QueueName, config: WorkerConfig): WorkerRow {
  const now = new Date();
  return {
    id,
    name: `${queue}@${hostname()}:${process.pid}`,
    host: hostname(),
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

/** Takes the runs of dead workers from them. Anyone may call this at any time. @returns how many runs there were. */
export async function recoverLost(database: DataSource, leases: Leases): Promise<number> {
  await dropDeadWorkers(database);
  const orphans: StageRun[] = await database
    .createQueryBuilder(StageRunEntity, 'run')
    .where(`run.state = 'running'`)
    .andWhere('NOT EXISTS (SELECT 1 FROM worker WHERE worker.id = run.worker_id)')
    .getMany();
  for (const run of orphans) await leases.lose(run);
  return orphans.length;
}

async function dropDeadWorkers(database: DataSource): Promise<void> {
  const workers = await database.manager.find(WorkerEntity);
  const dead = workers.filter(({ host, pid, seenAt }) => {
    const silent = Date.now() - seenAt.getTime() > LOST_AFTER_MS;
    // On this machine there is no need to wait: the process table knows.
    return silent || (host === hostname() && !isAlive(pid));
  });
  if (dead.length > 0) await database.manager.delete(WorkerEntity, { id: In(dead.map(({ id }) => id)) });
}
