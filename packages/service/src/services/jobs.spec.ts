import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { recipeSchema, type ModelpressError, type Recipe } from '@modelpress/core';
import type { DatasetView, JobDetail, ModelView } from '../contract';
import { eventually, openTestStack, testDatasetInfo, testManifest, type TestStack } from '../testing';

let stack: TestStack;
let model: ModelView;
let data: DatasetView;

beforeAll(async () => {
  stack = await openTestStack();
  model = await stack.service.models.create(stack.projectId, {
    name: 'base',
    folder: await folderWith('model.txt', 'base'),
    manifest: testManifest,
  });
  data = await stack.service.datasets.create(stack.projectId, {
    name: 'data',
    folder: await folderWith('test.jsonl', '{"text":"x","label":"a"}\n'),
    info: testDatasetInfo,
  });
  await stack.startWorkers();
});
afterAll(() => stack.close());

async function folderWith(file: string, content: string): Promise<string> {
  const { path } = await stack.service.scratch();
  await mkdir(path, { recursive: true });
  await writeFile(join(path, file), content);
  return path;
}

const recipe = (stages: readonly object[], more: object = {}): Recipe =>
  recipeSchema.parse({ name: 'recipe', stages, ...more });

/** Texts that no other test uses, so that no stage run is shared by accident. */
let unique = 0;
const text = (): string => `${(unique += 1)};`;

const submit = (stages: readonly object[], more: object = {}): Promise<JobDetail> =>
  stack.service.jobs.submit(stack.projectId, {
    recipe: recipe(stages, more),
    modelId: model.id,
    datasets: { data: data.id },
  });

const append = (config: object = {}): object => ({ type: 'append', config: { text: text(), ...config } });

async function outputText(job: JobDetail, stage: string): Promise<string> {
  const { runId } = job.stages.find((entry) => entry.stage === stage) ?? { runId: '' };
  const { outputId } = await stack.service.runs.get(stack.projectId, runId);
  const { stream } = await stack.service.artifacts.open(stack.projectId, outputId ?? '', 'model.txt');
  return (await buffer(stream)).toString();
}

const runsStarted = async (job: JobDetail, stage: string): Promise<number> => {
  const { runId } = job.stages.find((entry) => entry.stage === stage) ?? { runId: '' };
  return (await stack.service.runs.get(stack.projectId, runId)).attempts.length;
};

describe('a job', () => {
  it('runs its stages in order, on the queues they belong to, and ends in a report', async () => {
    const job = await submit(
      [
        { id: 'one', type: 'append', config: { text: 'A' } },
        { id: 'two', type: 'append', config: { text: 'B', steps: 2 } },
        { type: 'measure', config: { accuracy: 0.94 } },
      ],
      { goals: { maxDrop: { absolute: 0.02 }, maxBytes: 50 } },
    );
    expect(job.state).toBe('queued');
    const done = await stack.jobEnd(job.id);
    expect(done).toMatchObject({ state: 'succeeded', progress: 1, error: null });
    expect(await outputText(done, 'two')).toBe('baseAB');
    const report = await stack.service.reports.get(stack.projectId, job.id);
    expect(report.goalsReached).toBe(false);
    const [variant] = report.variants;
    expect(variant?.report.result).toBe('two');
    expect(variant?.report.goals.map(({ goal, passed }) => [goal, passed])).toEqual([
      ['maxDrop', true],
      ['maxBytes', false],
    ]);
    expect(variant?.report.model).toEqual({ name: 'base', architecture: 'bert', parameters: 10 });
    expect(variant?.report.datasets).toEqual([{ role: 'data', name: 'data', rows: { test: 2 } }]);
  });

  it('compares with the model of the stage that the recipe names', async () => {
    const stages = [
      { id: 'task', type: 'append', config: { text: 'TASK' } },
      { type: 'append', config: { text: 'small' } },
      // Fails at first, so that the run is also planned a second time.
      { type: 'measure', config: { trouble: 'invalid' } },
    ];
    const submitted = await submit(stages, { baseline: 'task' });
    expect((await stack.jobEnd(submitted.id)).state).toBe('failed');
    const done = await stack.jobEnd((await submit(stages, { baseline: 'task' })).id);
    const [variant] = (await stack.service.reports.get(stack.projectId, done.id)).variants;
    const bytes = variant?.report.comparisons.find(({ metric }) => metric === 'bytes.model');
    expect(bytes?.baseline).toBe('baseTASK'.length);
  });

  it('gives a stage the teachers of the job in their order', async () => {
    const teachers = [];
    for (const content of ['second', 'third']) {
      const folder = await folderWith('model.txt', content);
      teachers.push(
        await stack.service.models.create(stack.projectId, { name: content, folder, manifest: testManifest }),
      );
    }
    const teacherIds = teachers.map(({ id }) => id);
    const input = { recipe: recipe([{ type: 'learn' }]), modelId: model.id, datasets: {} };
    const job = await stack.service.jobs.submit(stack.projectId, { ...input, teacherIds });
    const done = await stack.jobEnd(job.id);
    expect(done).toMatchObject({ state: 'succeeded', teacherIds });
    expect(await outputText(done, 'learn')).toMatch(/\+second\+third$/);
    expect((await stack.service.jobs.clone(stack.projectId, job.id)).stages).toMatchObject([{ reused: true }]);
    await expect(stack.service.models.delete(stack.projectId, teacherIds[1])).rejects.toMatchObject({
      code: 'model.in-use',
    });
    const wrong = { ...input, teacherIds: [...teacherIds, '0'] };
    await expect(stack.service.jobs.submit(stack.projectId, wrong)).rejects.toMatchObject({
      details: { field: 'teacherIds[2]' },
    });
  });

  // PostgreSQL's jsonb puts shorter keys first: the order of a sweep's paths does not outlive it.
  it('reports every variant of a sweep with the values that it ran with', async () => {
    const sweep = { 'measure.config.accuracy': [0.5, 0.6, 0.7], 'append.seed': [1, 2] };
    const done = await stack.jobEnd((await submit([append(), { type: 'measure' }], { sweep })).id);
    const { variants } = await stack.service.reports.get(stack.projectId, done.id);
    const ran = variants.map(({ report }) => report.comparisons.find(({ metric }) => metric === 'accuracy')?.candidate);
    expect(ran).toEqual([0.5, 0.5, 0.6, 0.6, 0.7, 0.7]);
    expect(variants.map(({ values }) => values['measure.config.accuracy'])).toEqual(ran);
    expect(variants.map(({ report }) => report.recipe.stages[1]?.config['accuracy'])).toEqual(ran);
  });

  it('runs equal work once: a second equal job takes the results of the first', async () => {
    const stages = [append(), { type: 'measure' }];
    const first = await stack.jobEnd((await submit(stages)).id);
    const second = await submit(stages);
    expect(second.state).toBe('succeeded');
    expect(second.stages.map(({ reused }) => reused)).toEqual([true, true]);
    expect(second.stages.map(({ runId }) => runId)).toEqual(first.stages.map(({ runId }) => runId));
    expect(await runsStarted(second, 'append')).toBe(1);
    expect((await stack.service.reports.get(stack.projectId, second.id)).variants).toHaveLength(1);
  });

  it('joins equal work that is under way', async () => {
    const stages = [append({ steps: 20 })];
    const first = await submit(stages);
    await eventually(
      'it runs',
      async () => (await stack.service.jobs.get(stack.projectId, first.id)).state === 'running',
    );
    const second = await submit(stages);
    expect(second.state).toBe('running');
    expect(second.stages[0]).toMatchObject({ reused: true, runId: first.stages[0]?.runId });
    const [one, two] = await Promise.all([stack.jobEnd(first.id), stack.jobEnd(second.id)]);
    expect([one.state, two.state]).toEqual(['succeeded', 'succeeded']);
    expect(await runsStarted(two, 'append')).toBe(1);
  });

  it('runs a sweep with every common prefix once', async () => {
    const stages = [
      { id: 'teacher', ...append() },
      { id: 'student', type: 'append', config: {} },
    ];
    const job = await submit(stages, { sweep: { 'student.config.text': ['x', 'y', 'z'] } });
    const done = await stack.jobEnd(job.id);
    expect(done.state).toBe('succeeded');
    expect(done.stages).toHaveLength(6);
    const teachers = done.stages.filter(({ stage }) => stage === 'teacher').map(({ runId }) => runId);
    expect(new Set(teachers).size).toBe(1);
    expect(done.variants).toEqual(['x', 'y', 'z'].map((value) => ({ 'student.config.text': value })));
    expect((await stack.service.reports.get(stack.projectId, job.id)).variants.map(({ values }) => values)).toEqual(
      done.variants,
    );
  });

  it('needs no model where its stages start from nothing', async () => {
    const job = await stack.service.jobs.submit(stack.projectId, {
      recipe: recipe([{ type: 'write', config: { text: text() } }, append()]),
      datasets: {},
    });
    expect((await stack.jobEnd(job.id)).state).toBe('succeeded');
  });

  it('tries again after a failure that may pass', async () => {
    const job = await stack.jobEnd((await submit([append({ trouble: 'error', times: 2 })])).id);
    expect(job.state).toBe('succeeded');
    const run = await stack.service.runs.get(stack.projectId, job.stages[0]?.runId ?? '');
    expect(run.attempts.map(({ state }) => state)).toEqual(['failed', 'failed', 'succeeded']);
    expect(run.attempts[0]?.error).toMatchObject({ code: 'test.trouble' });
  });

  it('does not try again what will fail again', async () => {
    const job = await stack.jobEnd((await submit([append({ trouble: 'invalid' }), append()])).id);
    expect(job).toMatchObject({ state: 'failed', error: { code: 'test.invalid', details: { field: 'text' } } });
    expect(job.stages.map(({ state }) => state)).toEqual(['failed', 'cancelled']);
    expect(job.stages[1]?.error).toMatchObject({ code: 'run.upstream' });
    expect(await runsStarted(job, 'append')).toBe(1);
    expect((await stack.service.reports.get(stack.projectId, job.id)).variants[0]?.report.stages[0]).toMatchObject({
      state: 'failed',
      error: 'The test stage refuses its input.',
    });
  });

  it('fails in one branch and finishes the others', async () => {
    const job = await submit([
      { id: 'bad', ...append({ trouble: 'invalid' }) },
      { id: 'good', from: 'model', ...append() },
    ]);
    const done = await stack.jobEnd(job.id);
    expect(done.state).toBe('failed');
    expect(done.stages.map(({ state }) => state)).toEqual(['failed', 'succeeded']);
  });

  it('retries from the failed stage and keeps what is done', async () => {
    const job = await submit([
      { id: 'first', ...append() },
      { id: 'second', ...append({ trouble: 'error', times: 3 }) },
    ]);
    expect((await stack.jobEnd(job.id)).state).toBe('failed');
    await stack.service.jobs.retry(stack.projectId, job.id);
    const done = await stack.jobEnd(job.id);
    expect(done.state).toBe('succeeded');
    expect(await runsStarted(done, 'first')).toBe(1);
    expect(await runsStarted(done, 'second')).toBe(4);
  });

  it('fails the attempt of a child that dies, with its last words', async () => {
    const job = await stack.jobEnd((await submit([append({ trouble: 'exit', times: 9 })])).id);
    expect(job).toMatchObject({ state: 'failed', error: { code: 'runner.crashed' } });
    expect(job.error?.details).toMatchObject({ code: 7, lastLines: ['last words'] });
    const lines = await stack.service.logs.list(stack.projectId, job.stages[0]?.runId ?? '', { level: 'warn' });
    expect(lines.map(({ message }) => message)).toContain('last words');
  });

  it('finishes although its child is killed', async () => {
    const job = await stack.jobEnd((await submit([append({ trouble: 'kill', steps: 3 })])).id);
    expect(job.state).toBe('succeeded');
    const run = await stack.service.runs.get(stack.projectId, job.stages[0]?.runId ?? '');
    expect(run.attempts.map(({ state }) => state)).toEqual(['failed', 'succeeded']);
    expect(run.attempts[0]?.error?.message).toContain('SIGKILL');
  });
});

describe('cancelling', () => {
  const started = (job: JobDetail) =>
    eventually('the stage works', async () => {
      const now = await stack.service.jobs.get(stack.projectId, job.id);
      return now.stages[0]?.progress !== null && now;
    });

  it('reaches a running child within two seconds and cancels what comes after it', async () => {
    const job = await submit([append({ steps: 10_000 }), append()]);
    await started(job);
    const cancelled = await stack.service.jobs.cancel(stack.projectId, job.id);
    expect(cancelled.state).toBe('cancelled');
    const ended = await eventually(
      'the child has ended',
      async () => {
        const now = await stack.service.jobs.get(stack.projectId, job.id);
        return now.stages.every(({ state }) => state === 'cancelled') && now;
      },
      2000,
    );
    const run = await stack.service.runs.get(stack.projectId, ended.stages[0]?.runId ?? '');
    expect(run.attempts.map(({ state }) => state)).toEqual(['cancelled']);
  });

  it('kills a child that does not listen', async () => {
    const job = await submit([append({ trouble: 'deaf' })]);
    await eventually(
      'it runs',
      async () => (await stack.service.jobs.get(stack.projectId, job.id)).state === 'running',
    );
    await stack.service.jobs.cancel(stack.projectId, job.id);
    const ended = await eventually('the child has ended', async () => {
      const now = await stack.service.jobs.get(stack.projectId, job.id);
      return now.stages[0]?.state === 'cancelled' && now;
    });
    expect(ended.state).toBe('cancelled');
  });

  it('leaves alone what another job wants', async () => {
    const stages = [append({ steps: 30 })];
    const [first, second] = [await submit(stages), await submit(stages)];
    await started(first);
    await stack.service.jobs.cancel(stack.projectId, first.id);
    expect((await stack.jobEnd(second.id)).state).toBe('succeeded');
    expect(await runsStarted(second, 'append')).toBe(1);
  });

  it('is refused when the job has ended', async () => {
    const job = await stack.jobEnd((await submit([append()])).id);
    await expect(stack.service.jobs.cancel(stack.projectId, job.id)).rejects.toMatchObject({
      kind: 'conflict',
      code: 'job.cancel',
      message: 'A succeeded job cannot be cancelled.',
    });
  });

  it('can be taken back by a retry', async () => {
    const job = await submit([append({ steps: 40 })]);
    await started(job);
    await stack.service.jobs.cancel(stack.projectId, job.id);
    await stack.service.jobs.retry(stack.projectId, job.id);
    expect((await stack.jobEnd(job.id)).state).toBe('succeeded');
  });
});

describe('pausing', () => {
  it('stops the running stage and goes on from its checkpoint', async () => {
    const job = await submit([append({ steps: 60 })]);
    await eventually('it works', async () => {
      const { stages } = await stack.service.jobs.get(stack.projectId, job.id);
      return (stages[0]?.progress?.fraction ?? 0) > 0;
    });
    expect((await stack.service.jobs.pause(stack.projectId, job.id)).state).toBe('paused');
    const paused = await eventually('it has stopped', async () => {
      const now = await stack.service.jobs.get(stack.projectId, job.id);
      return now.stages[0]?.state === 'paused' && now;
    });
    await stack.service.jobs.resume(stack.projectId, job.id);
    const done = await stack.jobEnd(job.id);
    expect(done.state).toBe('succeeded');
    const runId = paused.stages[0]?.runId ?? '';
    const run = await stack.service.runs.get(stack.projectId, runId);
    expect(run.attempts.map(({ state }) => state)).toEqual(['stopped', 'succeeded']);
    const starts = (await stack.service.logs.list(stack.projectId, runId))
      .map(({ message }) => /^starts at step (\d+)$/.exec(message)?.[1])
      .filter((step) => step !== undefined)
      .map(Number);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
  });

  it('keeps a job from starting', async () => {
    const blocker = await submit([append({ steps: 25 })]);
    const job = await submit([append()]);
    await stack.service.jobs.pause(stack.projectId, job.id);
    await stack.jobEnd(blocker.id);
    const still = await stack.service.jobs.get(stack.projectId, job.id);
    expect(still).toMatchObject({ state: 'paused', stages: [{ state: 'paused', attempts: 0 }] });
    await stack.service.jobs.resume(stack.projectId, job.id);
    expect((await stack.jobEnd(job.id)).state).toBe('succeeded');
  });
});

describe('a job that cannot run', () => {
  const rejected = async (work: Promise<unknown>): Promise<ModelpressError> =>
    work.then(
      () => {
        throw new Error('it was accepted');
      },
      (error: ModelpressError) => error,
    );

  it.each([
    ['an unknown stage', [{ type: 'shrink' }], 'stages[0].type'],
    ['a wrong config', [{ type: 'append', config: { steps: -1 } }], 'stages[0].config.steps'],
    ['what a stage refuses', [{ type: 'append', config: { text: 'refused' } }], 'stages[0].config.text'],
    ['an unknown source', [{ type: 'append', from: 'nowhere' }], 'stages[0].from'],
  ])('is refused for %s, and nothing is kept', async (_what, stages, field) => {
    const before = await stack.service.jobs.list(stack.projectId);
    const error = await rejected(submit(stages));
    expect(error).toMatchObject({ kind: 'invalid', details: { field } });
    expect(await stack.service.jobs.list(stack.projectId)).toEqual(before);
  });

  it('is refused without a data set that it needs', async () => {
    const error = await rejected(
      stack.service.jobs.submit(stack.projectId, {
        recipe: recipe([{ type: 'measure' }]),
        modelId: model.id,
        datasets: {},
      }),
    );
    expect(error).toMatchObject({ code: 'job.invalid', details: { field: 'datasets.data' } });
  });

  it('is refused for what belongs to another project', async () => {
    const other = await stack.service.projects.create({ name: 'other' });
    const error = await rejected(
      stack.service.jobs.submit(other.id, { recipe: recipe([append()]), modelId: model.id, datasets: {} }),
    );
    expect(error).toMatchObject({ details: { field: 'modelId' } });
    const job = await submit([append()]);
    for (const call of [
      stack.service.jobs.get(other.id, job.id),
      stack.service.jobs.cancel(other.id, job.id),
      stack.service.jobs.delete(other.id, job.id),
      stack.service.reports.get(other.id, job.id),
      stack.service.runs.get(other.id, job.stages[0]?.runId ?? ''),
      stack.service.logs.list(other.id, job.stages[0]?.runId ?? ''),
      stack.service.models.get(other.id, model.id),
      stack.service.artifacts.get(other.id, model.artifactId),
    ]) {
      expect(await rejected(call)).toMatchObject({ kind: 'not-found' });
    }
    await stack.jobEnd(job.id);
  });
});

describe('a dry run', () => {
  it('says what would run and what is there already', async () => {
    const stages = [append(), { type: 'measure' }];
    await stack.jobEnd((await submit(stages.slice(0, 1))).id);
    const before = await stack.service.jobs.list(stack.projectId);
    const dryRun = await stack.service.jobs.dryRun(stack.projectId, {
      recipe: recipe(stages),
      modelId: model.id,
      datasets: { data: data.id },
    });
    expect(dryRun.variants[0]?.stages.map(({ stage, queue, existing }) => [stage, queue, existing])).toEqual([
      ['append', 'distill', 'succeeded'],
      ['measure', 'bench', null],
    ]);
    expect(dryRun.warnings).toEqual([]);
    expect(await stack.service.jobs.list(stack.projectId)).toEqual(before);
  });
});

describe('deleting', () => {
  it('removes the job and the runs that no other job has', async () => {
    const [common, own] = [append(), append()];
    const first = await stack.jobEnd((await submit([common, own])).id);
    const second = await stack.jobEnd((await submit([common])).id);
    await stack.service.jobs.delete(stack.projectId, first.id);
    await expect(stack.service.jobs.get(stack.projectId, first.id)).rejects.toMatchObject({ kind: 'not-found' });
    const [kept, gone] = first.stages.map(({ runId }) => runId);
    expect((await stack.service.runs.get(stack.projectId, kept ?? '')).jobs).toEqual([second.id]);
    await expect(stack.service.runs.get(stack.projectId, gone ?? '')).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('is refused while the job runs', async () => {
    const job = await submit([append({ steps: 20 })]);
    await expect(stack.service.jobs.delete(stack.projectId, job.id)).rejects.toMatchObject({ code: 'job.delete' });
    await stack.jobEnd(job.id);
  });
});

describe('cloning', () => {
  it('makes a new job with changes', async () => {
    const job = await stack.jobEnd((await submit([append()])).id);
    const clone = await stack.service.jobs.clone(stack.projectId, job.id, { name: 'again', priority: 9 });
    expect(clone).toMatchObject({ name: 'again', priority: 9, clonedFrom: job.id, state: 'succeeded' });
    expect(clone.stages[0]?.reused).toBe(true);
  });
});
