import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { recipeSchema } from '@modelpress/core';
import type { ArtifactView } from '../contract';
import { openDatabase } from '../database/data-source';
import { ProjectTransactions } from '../database/project-transaction';
import { FolderStore } from '../objects/folder-store';
import { openTestStack, testManifest, type TestStack } from '../testing';
import { sweep } from './sweeper';

let stack: TestStack;
let transactions: ProjectTransactions;
let objects: FolderStore;

beforeAll(async () => {
  stack = await openTestStack();
  transactions = new ProjectTransactions(await openDatabase(stack.config.database));
  objects = await FolderStore.open(join(stack.folder, 'objects'));
  await stack.startWorkers(['prune', 'distill']);
});
afterAll(async () => {
  await transactions.database.destroy();
  await stack.close();
});

/** Lets everything look two days older than it is. */
async function age(): Promise<void> {
  const { database } = transactions;
  await database.query(`UPDATE artifact SET created_at = created_at - interval '2 days'`);
  await database.query(`UPDATE blob SET used_at = used_at - interval '2 days'`);
  await database.query(`UPDATE stage_run SET created_at = created_at - interval '2 days'`);
  await database.query(`UPDATE job SET finished_at = finished_at - interval '2 days'`);
}

async function makeModel(text: string): Promise<{ id: string; artifact: ArtifactView }> {
  const { path } = await stack.service.scratch();
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'model.txt'), text);
  const { id, artifactId } = await stack.service.models.create(stack.projectId, {
    name: text,
    folder: path,
    manifest: testManifest,
  });
  return { id, artifact: await stack.service.artifacts.get(stack.projectId, artifactId) };
}

const kept = async ({ files }: ArtifactView): Promise<boolean[]> =>
  Promise.all(files.map(async ({ sha256 }) => (await objects.bytes(sha256)) !== undefined));

describe('the sweeper', () => {
  it('deletes the bytes of a model that was deleted, but not at once', async () => {
    const [gone, stays] = [await makeModel('gone'), await makeModel('stays')];
    await stack.service.models.delete(stack.projectId, gone.id);
    await sweep(transactions, objects);
    expect(await kept(gone.artifact)).toEqual([true]);
    await age();
    await sweep(transactions, objects);
    expect(await kept(gone.artifact)).toEqual([false]);
    expect(await kept(stays.artifact)).toEqual([true]);
  });

  it('keeps what a stage run has read or made', async () => {
    const model = await makeModel('read');
    const teacher = await makeModel('teaches');
    const recipe = recipeSchema.parse({ name: 'keep', stages: [{ type: 'learn', config: { text: '+' } }] });
    const input = { recipe, modelId: model.id, teacherIds: [teacher.id], datasets: {} };
    const job = await stack.service.jobs.submit(stack.projectId, input);
    const done = await stack.jobEnd(job.id);
    await transactions.database.query(`UPDATE job SET teacher_ids = '[]'`);
    await stack.service.models.delete(stack.projectId, teacher.id);
    await age();
    await sweep(transactions, objects);
    const run = await stack.service.runs.get(stack.projectId, done.stages[0]?.runId ?? '');
    const output = await stack.service.artifacts.get(stack.projectId, run.outputId ?? '');
    expect(await kept(model.artifact)).toEqual([true]);
    expect(await kept(teacher.artifact)).toEqual([true]);
    expect(await kept(output)).toEqual([true, true]);
  });

  it('deletes jobs that their project keeps no longer, and what only they had', async () => {
    const recipe = recipeSchema.parse({ name: 'expire', stages: [{ type: 'write', config: { text: 'expire' } }] });
    const job = await stack.service.jobs.submit(stack.projectId, { recipe, datasets: {} });
    const done = await stack.jobEnd(job.id);
    const run = await stack.service.runs.get(stack.projectId, done.stages[0]?.runId ?? '');
    const output = await stack.service.artifacts.get(stack.projectId, run.outputId ?? '');
    await stack.service.projects.update(stack.projectId, { retentionDays: 1 });
    await sweep(transactions, objects);
    expect(await stack.service.jobs.get(stack.projectId, job.id)).toMatchObject({ state: 'succeeded' });
    await age();
    await sweep(transactions, objects);
    await expect(stack.service.jobs.get(stack.projectId, job.id)).rejects.toMatchObject({ kind: 'not-found' });
    const [own] = output.files.filter(({ path }) => path === 'model.txt');
    expect(await objects.bytes(own?.sha256 ?? '')).toBeUndefined();
  });
});
