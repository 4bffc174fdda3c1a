import type { QueueName } from '@modelpress/core';
import { In, LessThan, type DataSource } from 'typeorm';
import { StageRunEntity } from '../database/entities';
import type { WorkQueue } from '../queue';

/** A message this old has long left the outbox. */
const SETTLED_MS = 30_000;
const BATCH = 100;

/**
 * Publishes again what a queue server has forgotten (Redis without persistence that was restarted): runs of this queue
 * that should be in it, next in line first. @returns how many were missing.
 */
export async function reconcileQueue(database: DataSource, queue: WorkQueue, name: QueueName): Promise<number> {
  const before = new Date(Date.now() - SETTLED_MS);
  const runs = await database.manager.find(StageRunEntity, {
    where: { queue: name, state: 'queued', waitingFor: In(['worker', 'retry-delay']), queuedAt: LessThan(before) },
    order: { priority: 'DESC', queuedAt: 'ASC' },
    take: BATCH,
  });
  let missing = 0;
  for (const { id: runId, dispatch, lane, priority, availableAt } of runs) {
    const address = { queue: name, lane };
    if (await queue.has(address, { runId, dispatch })) continue;
    const delayMs = Math.max(0, (availableAt?.getTime() ?? 0) - Date.now());
    await queue.publish(address, { runId, dispatch }, { priority, delayMs });
    missing += 1;
  }
  return missing;
}
