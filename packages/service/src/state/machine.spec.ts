import { recipeSchema } from '@modelpress/core';
import { openDatabase } from '../database/data-source';
import { EventEntity, JobEntity, StageRunEntity } from '../database/entities';
import { ProjectTransactions } from '../database/project-transaction';
import { openTestStack, type TestStack } from '../testing';
import { changeJob, changeRun } from './machine';
import { ACTIONS, RUN_TRANSITIONS, JOB_TRANSITIONS, STATES } from './states';

let stack: TestStack;
let transactions: ProjectTransactions;
let jobId: string;
let runId: string;

beforeAll(async () => {
  stack = await openTestStack();
  transactions = new ProjectTransactions(await openDatabase(stack.config.database));
  const recipe = recipeSchema.parse({ name: 'machine', stages: [{ type: 'write' }] });
  const job = await stack.service.jobs.submit(stack.projectId, { recipe, datasets: {} });
  jobId = job.id;
  runId = job.stages[0]?.runId ?? '';
});
afterAll(async () => {
  await transactions.database.destroy();
  await stack.close();
});

const eventCount = (): Promise<number> => transactions.database.manager.countBy(EventEntity, { jobId });

describe.each(STATES)('a %s stage run', (state) => {
  it.each(ACTIONS)('obeys the table for %s, and every change leaves an event', async (action) => {
    const { manager } = transactions.database;
    await manager.update(JobEntity, { id: jobId }, { state: 'running' });
    await manager.update(StageRunEntity, { id: runId }, { state, waitingFor: null });
    const before = await eventCount();
    const next = RUN_TRANSITIONS[state][action];
    const change = transactions.run(stack.projectId, async (tx) =>
      changeRun(tx, await tx.manager.findOneByOrFail(StageRunEntity, { id: runId }), action),
    );
    if (next === undefined) await expect(change).rejects.toMatchObject({ kind: 'conflict', code: `run.${action}` });
    else expect(await change).toMatchObject({ state: next });
    const run = await manager.findOneByOrFail(StageRunEntity, { id: runId });
    expect(run.state).toBe(next ?? state);
    expect(await eventCount()).toBe(before + (next === undefined ? 0 : 1));
  });
});

describe.each(STATES)('a %s job', (state) => {
  it.each(ACTIONS)('obeys the table for %s, and every change leaves an event', async (action) => {
    const { manager } = transactions.database;
    await manager.update(JobEntity, { id: jobId }, { state });
    const before = await eventCount();
    const next = JOB_TRANSITIONS[state][action];
    const change = transactions.run(stack.projectId, async (tx) =>
      changeJob(tx, await tx.manager.findOneByOrFail(JobEntity, { id: jobId }), action),
    );
    if (next === undefined) await expect(change).rejects.toMatchObject({ kind: 'conflict', code: `job.${action}` });
    else expect(await change).toMatchObject({ state: next });
    expect((await manager.findOneByOrFail(JobEntity, { id: jobId })).state).toBe(next ?? state);
    expect(await eventCount()).toBe(before + (next === undefined ? 0 : 1));
  });
});

describe('a change that is rolled back', () => {
  it('leaves neither event nor message', async () => {
    const { manager } = transactions.database;
    await manager.update(JobEntity, { id: jobId }, { state: 'running' });
    const before = await eventCount();
    const failing = transactions.run(stack.projectId, async (tx) => {
      await changeJob(tx, await tx.manager.findOneByOrFail(JobEntity, { id: jobId }), 'fail');
      throw new Error('power cut');
    });
    await expect(failing).rejects.toThrow('power cut');
    expect(await eventCount()).toBe(before);
    expect((await manager.findOneByOrFail(JobEntity, { id: jobId })).state).toBe('running');
  });
});
