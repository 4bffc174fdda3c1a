import { recipeSchema } from '@modelpress/core';
import { openDatabase } from '../database/data-source';
import { EventEntity, JobEntity, StageRunEntity } from '../database/entities';
import { ProjectTransactions } from '../database/project-transaction';
import { openTestStack, type TestStack } from '../testing';
import { changeJob, changeRun } from './machine';
import { ACTIONS, JOB_TRANSITIONS, RUN_TRANSITIONS, STATES, type Action, type State } from './states';

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

const CASES = STATES.flatMap((state) => ACTIONS.map((action) => ({ state, action })));

describe.each([
  ['stage run', RUN_TRANSITIONS],
  ['job', JOB_TRANSITIONS],
] as const)('a change of a %s', (what, table) => {
  const entity = what === 'job' ? JobEntity : StageRunEntity;
  const id = (): string => (what === 'job' ? jobId : runId);

  const stateNow = async (): Promise<State> =>
    (await transactions.database.manager.findOneByOrFail<{ id: string; state: State }>(entity, { id: id() })).state;

  async function prepare(state: State): Promise<void> {
    const { manager } = transactions.database;
    // Events of a run go to its live jobs.
    await manager.update(JobEntity, { id: jobId }, { state: 'running' });
    await manager.update(entity, { id: id() }, { state });
  }

  const change = (action: Action): Promise<{ state: State }> =>
    transactions.run(stack.projectId, async (tx): Promise<{ state: State }> =>
      what === 'job'
        ? changeJob(tx, await tx.manager.findOneByOrFail(JobEntity, { id: jobId }), action)
        : changeRun(tx, await tx.manager.findOneByOrFail(StageRunEntity, { id: runId }), action),
    );

  it.each(CASES.filter(({ state, action }) => table[state][action] !== undefined))(
    'follows the table: $action when $state, with an event',
    async ({ state, action }) => {
      await prepare(state);
      const before = await eventCount();
      expect((await change(action)).state).toBe(table[state][action]);
      expect(await stateNow()).toBe(table[state][action]);
      expect(await eventCount()).toBe(before + 1);
    },
  );

  it.each(CASES.filter(({ state, action }) => table[state][action] === undefined))(
    'is refused outside the table: $action when $state',
    async ({ state, action }) => {
      await prepare(state);
      const before = await eventCount();
      const code = what === 'job' ? `job.${action}` : `run.${action}`;
      await expect(change(action)).rejects.toMatchObject({ kind: 'conflict', code });
      expect(await stateNow()).toBe(state);
      expect(await eventCount()).toBe(before);
    },
  );
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
