import { recipeSchema } from '@modelpress/core';
import type { EventView, JobDetail } from '../contract';
import { openDatabase } from '../database/data-source';
import { ProjectTransactions } from '../database/project-transaction';
import { eventually, openTestStack, type TestStack } from '../testing';

let stack: TestStack;
let transactions: ProjectTransactions;

beforeAll(async () => {
  stack = await openTestStack();
  transactions = new ProjectTransactions(await openDatabase({ ...stack.config.database, poolSize: 20 }));
});
afterAll(async () => {
  await transactions.database.destroy();
  await stack.close();
});

/** Reads events into a list until it is told to stop. */
function follow(scope: { jobId?: string; after?: number } = {}) {
  const abort = new AbortController();
  const seen: EventView[] = [];
  const done = (async () => {
    for await (const event of stack.service.events.subscribe(stack.projectId, scope, abort.signal)) seen.push(event);
  })();
  const stop = (): Promise<void> => {
    abort.abort();
    return done;
  };
  return { seen, stop };
}

const submit = (text: string, steps = 0): Promise<JobDetail> =>
  stack.service.jobs.submit(stack.projectId, {
    recipe: recipeSchema.parse({ name: 'events', stages: [{ type: 'write', config: { text, steps } }] }),
    datasets: {},
  });

describe('events', () => {
  it('are never missed by a reader who goes on from the last id, although many write at once', async () => {
    const { seen, stop } = follow();
    const writes = Array.from({ length: 200 }, (_, number) =>
      transactions.run(stack.projectId, async (tx) => {
        tx.emit('job.created', {}, { number });
        await tx.manager.query('SELECT pg_sleep(random() * 0.005)');
      }),
    );
    await Promise.all(writes);
    await eventually('all are seen', () => seen.length >= 200);
    await stop();
    const ids = seen.map(({ id }) => id);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    expect(new Set(seen.map(({ data }) => data['number'])).size).toBe(200);
  });

  it('begin after the id that is given', async () => {
    const all = follow();
    await eventually('they are there', () => all.seen.length >= 200);
    await all.stop();
    const middle = all.seen[100]?.id ?? 0;
    const rest = follow({ after: middle });
    await eventually('the rest is there', () => rest.seen.length >= all.seen.length - 101);
    await rest.stop();
    expect(rest.seen.map(({ id }) => id)).toEqual(all.seen.slice(101).map(({ id }) => id));
  });

  it('tell the story of a job, in order', async () => {
    await stack.startWorkers(['prune']);
    const job = await submit('story', 70);
    const { seen, stop } = follow({ jobId: job.id });
    await stack.jobEnd(job.id);
    await eventually('the end is seen', () =>
      seen.some(({ kind, data }) => kind === 'job.state' && data['state'] === 'succeeded'),
    );
    await stop();
    const states = seen
      .filter(({ kind }) => kind === 'job.created' || kind === 'job.state' || kind === 'run.state')
      .map(({ kind, data }) => (kind === 'job.created' ? kind : `${kind} ${String(data['state'])}`));
    expect(states).toEqual([
      'job.created',
      'run.state queued',
      'run.state running',
      'job.state running',
      'run.state succeeded',
      'job.state succeeded',
    ]);
    expect(seen.some(({ kind }) => kind === 'run.progress')).toBe(true);
  });

  it('end when the reader leaves', async () => {
    const { stop } = follow();
    await expect(stop()).resolves.toBeUndefined();
  });
});

describe('logs and curves of a run', () => {
  it('can be followed while it runs, and read afterwards', async () => {
    const job = await submit('logs', 30);
    const runId = job.stages[0]?.runId ?? '';
    const lines: string[] = [];
    for await (const line of stack.service.logs.follow(stack.projectId, runId, 0, AbortSignal.timeout(30_000)))
      lines.push(line.message);
    expect(lines).toEqual(['Attempt 1 of write starts.', 'starts at step 0']);
    const read = await stack.service.logs.list(stack.projectId, runId);
    expect(read.map(({ message }) => message)).toEqual(lines);
    const [curve] = await stack.service.runs.metrics(stack.projectId, runId);
    expect(curve?.name).toBe('loss');
    expect(curve?.points).toHaveLength(30);
    expect(curve?.points.at(-1)).toEqual([30, 1 / 30]);
    const [thin] = await stack.service.runs.metrics(stack.projectId, runId, 10);
    expect(thin?.points.length).toBeLessThanOrEqual(11);
    expect(thin?.points.at(-1)).toEqual([30, 1 / 30]);
  });
});
