import { recipeSchema } from '@modelpress/core';
import type { JobDetail } from '../contract';
import { openDatabase } from '../database/data-source';
import { eventually, openTestStack, type TestStack } from '../testing';

let stack: TestStack;
beforeAll(async () => {
  stack = await openTestStack({ MODELPRESS_WORKER_SLOTS: '4' });
});
afterAll(() => stack.close());

let unique = 0;
const submit = (priority = 5, steps = 10, project = stack.projectId): Promise<JobDetail> =>
  stack.service.jobs.submit(project, {
    recipe: recipeSchema.parse({
      name: 'limits',
      stages: [{ type: 'write', config: { text: `limits ${(unique += 1)}`, steps } }],
    }),
    datasets: {},
    priority,
  });

const fail = (): never => {
  throw new Error('there is no job');
};

const waitingOf = async (job: JobDetail, project = stack.projectId) =>
  (await stack.service.runs.get(project, job.stages[0]?.runId ?? '')).waiting;

describe('without workers', () => {
  it('says that nobody serves the queue, and how many runs come first', async () => {
    const [normal, later, urgent] = [await submit(), await submit(), await submit(9)];
    expect(await waitingOf(urgent)).toMatchObject({ reason: 'no-worker', position: 0 });
    expect(await waitingOf(normal)).toMatchObject({ reason: 'no-worker', position: 1 });
    expect(await waitingOf(later)).toMatchObject({ reason: 'no-worker', position: 2 });
    const dryRun = await stack.service.jobs.dryRun(stack.projectId, { recipe: later.recipe, datasets: {} });
    expect(dryRun.warnings).toEqual([expect.stringContaining('No worker serves the queue prune')]);
    const overview = await stack.service.queue.overview(stack.projectId);
    expect(overview.queues.find(({ queue }) => queue === 'prune')).toEqual({
      queue: 'prune',
      waiting: 3,
      running: 0,
      workers: 0,
    });
    for (const { id } of [normal, later, urgent]) await stack.service.jobs.cancel(stack.projectId, id);
  });

  it('starts what is urgent first once there is one, also when a later job raised it', async () => {
    const raised = await submit(1);
    const [low, high] = [await submit(0), await submit(8)];
    await stack.service.jobs.clone(stack.projectId, raised.id, { priority: 9 });
    expect(await waitingOf(raised)).toMatchObject({ position: 0 });
    expect(await waitingOf(high)).toMatchObject({ position: 1 });
    expect(await waitingOf(low)).toMatchObject({ position: 2 });
    for (const { id } of [raised, low, high]) await stack.service.jobs.cancel(stack.projectId, id);
  });
});

describe('a project with a limit', () => {
  it('runs no more stages at once than it may, and says why others wait', async () => {
    const { id: limited } = await stack.service.projects.create({ name: 'limited', maxConcurrentRuns: 2 });
    const [worker] = await stack.startWorkers(['prune']);
    const jobs: JobDetail[] = [];
    for (let count = 0; count < 6; count++) jobs.push(await submit(5, 10, limited));
    expect((await waitingOf(jobs.at(-1) ?? fail(), limited))?.reason).toBe('project-limit');
    const free = await submit();
    let most = 0;
    await eventually('all have ended', async () => {
      const { items } = await stack.service.runs.list(limited);
      most = Math.max(most, items.filter(({ state }) => state === 'running').length);
      return items.every(({ state }) => state === 'succeeded');
    });
    expect(most).toBeLessThanOrEqual(2);
    expect((await stack.jobEnd(free.id)).state).toBe('succeeded');
    await worker?.close();
  });
});

describe('a worker of two lanes', () => {
  it('takes both kinds of stages, and no more at once than it has slots', async () => {
    const own = await openTestStack({ MODELPRESS_WORKER_LANES: 'gpu,cpu' });
    await own.startWorkers(['prune']);
    const jobs = await Promise.all(
      (['cpu', 'gpu', 'cpu', 'gpu'] as const).map((lane, number) =>
        own.service.jobs.submit(own.projectId, {
          recipe: recipeSchema.parse({
            name: lane,
            stages: [{ type: 'write', config: { lane, text: `lanes ${number}`, steps: 10 } }],
          }),
          datasets: {},
        }),
      ),
    );
    let most = 0;
    await eventually('all have ended', async () => {
      const { items } = await own.service.runs.list(own.projectId);
      most = Math.max(most, items.filter(({ state }) => state === 'running').length);
      return items.every(({ state }) => state === 'succeeded');
    });
    expect(most).toBe(1);
    const lanes = await Promise.all(
      jobs.map(({ stages }) => own.service.runs.get(own.projectId, stages[0]?.runId ?? '')),
    );
    expect(lanes.map(({ lane }) => lane)).toEqual(['cpu', 'gpu', 'cpu', 'gpu']);
    await own.close();
  });
});

describe('ten thousand queued jobs', () => {
  it('page without reading what lies before the page', async () => {
    const database = await openDatabase(stack.config.database);
    const { id } = await stack.service.projects.create({ name: 'busy' });
    await database.query(
      `INSERT INTO job (id, project_id, name, state, datasets, recipe, variants, priority)
       SELECT (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000')::uuid, $1, 'job ' || n, 'queued', '{}', '{}', '[]', 5
         FROM generate_series(1, 10000) AS n`,
      [id],
    );
    await database.query('ANALYZE job');
    const seen = new Set<string>();
    let cursor: string | undefined;
    do {
      const page = await stack.service.jobs.list(id, {
        limit: 200,
        state: 'queued',
        ...(cursor === undefined ? {} : { cursor }),
      });
      page.items.forEach((job) => seen.add(job.id));
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
    expect(seen.size).toBe(10_000);
    const plan = await database.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }[]>(
      `EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM job WHERE project_id = $1 AND state = 'queued' AND id < $2 ORDER BY id DESC LIMIT 51`,
      [id, '00000100-0000-7000-8000-000000000000'],
    );
    const nodes = flatten(plan[0]?.['QUERY PLAN'][0].Plan);
    expect(nodes.map((node) => node['Node Type'])).not.toContain('Sort');
    expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    expect(Math.max(...nodes.map((node) => node['Actual Rows']))).toBeLessThanOrEqual(51);
    await database.destroy();
  });

  interface PlanNode {
    readonly 'Node Type': string;
    readonly 'Actual Rows': number;
    readonly Plans?: readonly PlanNode[];
  }
  const flatten = (node: PlanNode | undefined): PlanNode[] =>
    node === undefined ? [] : [node, ...(node.Plans ?? []).flatMap(flatten)];

  it('refuse a page that makes no sense', () => {
    return Promise.all([
      expect(stack.service.jobs.list(stack.projectId, { limit: 0 })).rejects.toMatchObject({ code: 'page.limit' }),
      expect(stack.service.jobs.list(stack.projectId, { limit: 1000 })).rejects.toMatchObject({ code: 'page.limit' }),
      expect(stack.service.jobs.list(stack.projectId, { cursor: 'x' })).rejects.toMatchObject({ code: 'page.cursor' }),
    ]);
  });
});
