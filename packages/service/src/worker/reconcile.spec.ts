import { recipeSchema } from '@modelpress/core';
import type { DataSource } from 'typeorm';
import { openDatabase } from '../database/data-source';
import { StageRunEntity } from '../database/entities';
import { openPostgresQueue } from '../queue/postgres-queue';
import type { WorkQueue } from '../queue';
import { eventually, openTestStack, type TestStack } from '../testing';
import { reconcileQueue } from './reconcile';

let stack: TestStack;
let database: DataSource;
let queue: WorkQueue;

beforeAll(async () => {
  stack = await openTestStack();
  database = await openDatabase(stack.config.database);
  queue = openPostgresQueue(stack.config.database.url, (error) => {
    throw error;
  });
});
afterAll(async () => {
  await queue.close();
  await database.destroy();
  await stack.close();
});

describe('a queue server that forgot its messages', () => {
  it('gets those of queued runs again, and the job runs', async () => {
    const address = { queue: 'prune', lane: 'cpu' } as const;
    const recipe = recipeSchema.parse({ name: 'forgotten', stages: [{ type: 'write' }] });
    const job = await stack.service.jobs.submit(stack.projectId, { recipe, datasets: {} });
    const runId = job.stages[0]?.runId ?? '';
    const { dispatch } = await database.manager.findOneByOrFail(StageRunEntity, { id: runId });
    await eventually('it is in the queue', () => queue.has(address, { runId, dispatch }));
    await queue.withdraw(address, { runId, dispatch });
    expect(await reconcileQueue(database, queue, 'prune')).toBe(0);
    await database.query(`UPDATE stage_run SET queued_at = queued_at - interval '1 minute'`);
    expect(await reconcileQueue(database, queue, 'prune')).toBe(1);
    expect(await reconcileQueue(database, queue, 'prune')).toBe(0);
    await stack.startWorkers(['prune']);
    expect((await stack.jobEnd(job.id)).state).toBe('succeeded');
  });
});
