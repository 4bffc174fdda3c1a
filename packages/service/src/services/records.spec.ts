import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { recipeSchema } from '@modelpress/core';
import { eventually, openTestStack, testDatasetInfo, testManifest, type TestStack } from '../testing';

let stack: TestStack;
beforeAll(async () => {
  stack = await openTestStack({ MODELPRESS_API_KEY: 'a key for the first project' });
});
afterAll(() => stack.close());

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const { path } = await stack.service.scratch();
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(path, name, '..'), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return path;
}

describe('projects', () => {
  it('have one name each', async () => {
    const { projects } = stack.service;
    const { id } = await projects.create({ name: 'unique' });
    await expect(projects.create({ name: 'unique' })).rejects.toMatchObject({ code: 'project.name-taken' });
    expect(await projects.update(id, { maxConcurrentRuns: 3 })).toMatchObject({ name: 'unique', maxConcurrentRuns: 3 });
    await expect(projects.update(id, { maxConcurrentRuns: 0 })).rejects.toMatchObject({
      details: { field: 'maxConcurrentRuns' },
    });
    expect(await projects.ensure('unique')).toMatchObject({ id });
    await expect(projects.get('nothing')).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('API keys', () => {
  it('open their project until they are revoked, and are kept only as a hash', async () => {
    const { keys } = stack.service;
    const key = await keys.create(stack.projectId, { name: 'ci', role: 'submitter' });
    expect(await keys.authenticate(key.secret)).toMatchObject({ projectId: stack.projectId, role: 'submitter' });
    const [listed] = (await keys.list(stack.projectId)).filter(({ id }) => id === key.id);
    expect(JSON.stringify(listed)).not.toContain(key.secret);
    expect(listed).toMatchObject({ name: 'ci', prefix: key.secret.slice(0, 10) });
    await keys.revoke(stack.projectId, key.id);
    await expect(keys.authenticate(key.secret)).rejects.toMatchObject({ kind: 'unauthorized' });
    await expect(keys.revoke(stack.projectId, key.id)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('can come from the configuration', async () => {
    const { projectId, role } = await stack.service.keys.authenticate('a key for the first project');
    expect(role).toBe('admin');
    expect(await stack.service.projects.get(projectId)).toMatchObject({ name: 'default' });
  });

  it('of another project cannot be revoked', async () => {
    const other = await stack.service.projects.create({ name: 'with keys' });
    const key = await stack.service.keys.create(other.id, { name: 'own', role: 'admin' });
    await expect(stack.service.keys.revoke(stack.projectId, key.id)).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('models', () => {
  it('are folders of which every file is stored once', async () => {
    const { models, artifacts } = stack.service;
    const folder = await folderWith({ 'model.onnx': 'weights', 'vocab/vocab.txt': 'words', 'copy.txt': 'words' });
    const model = await models.create(stack.projectId, { name: 'one', folder, manifest: testManifest });
    const again = await models.create(stack.projectId, { name: 'two', folder, manifest: testManifest });
    expect(again.digest).toBe(model.digest);
    expect(model.bytes).toBe(17);
    const files = await models.files(stack.projectId, model.id);
    expect(files.map(({ path }) => path)).toEqual(['copy.txt', 'model.onnx', 'vocab/vocab.txt']);
    expect(files[0]?.sha256).toBe(files[2]?.sha256);
    expect((await artifacts.get(stack.projectId, model.artifactId)).files).toEqual(files);
    expect((await models.list(stack.projectId)).items.map(({ name }) => name)).toEqual(['two', 'one']);
  });

  it('cannot be deleted while a job refers to them', async () => {
    const { models, jobs } = stack.service;
    const folder = await folderWith({ 'model.onnx': 'used' });
    const { id: modelId } = await models.create(stack.projectId, { name: 'used', folder, manifest: testManifest });
    const recipe = recipeSchema.parse({ name: 'use', stages: [{ type: 'append' }] });
    const job = await jobs.submit(stack.projectId, { recipe, modelId, datasets: {} });
    await expect(models.delete(stack.projectId, modelId)).rejects.toMatchObject({ code: 'model.in-use' });
    await jobs.cancel(stack.projectId, job.id);
    await jobs.delete(stack.projectId, job.id);
    await models.delete(stack.projectId, modelId);
    await expect(models.get(stack.projectId, modelId)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('are refused when the folder is empty or has a link', async () => {
    const { models } = stack.service;
    const empty = await folderWith({});
    await expect(
      models.create(stack.projectId, { name: 'x', folder: empty, manifest: testManifest }),
    ).rejects.toMatchObject({ code: 'artifact.empty' });
    const { symlink } = await import('node:fs/promises');
    const linked = await folderWith({ 'model.onnx': 'x' });
    await symlink('/etc/passwd', join(linked, 'link'));
    await expect(
      models.create(stack.projectId, { name: 'x', folder: linked, manifest: testManifest }),
    ).rejects.toMatchObject({ code: 'artifact.not-a-file', details: { file: 'link' } });
  });
});

describe('data sets', () => {
  it('cannot be deleted while a job refers to them', async () => {
    const { datasets, jobs } = stack.service;
    const folder = await folderWith({ 'test.jsonl': '{}' });
    const { id } = await datasets.create(stack.projectId, { name: 'd', folder, info: testDatasetInfo });
    const model = await stack.service.models.create(stack.projectId, {
      name: 'm',
      folder: await folderWith({ 'model.onnx': 'm' }),
      manifest: testManifest,
    });
    const recipe = recipeSchema.parse({ name: 'use', stages: [{ type: 'append' }] });
    const job = await jobs.submit(stack.projectId, { recipe, modelId: model.id, datasets: { data: id } });
    await expect(datasets.delete(stack.projectId, id)).rejects.toMatchObject({ code: 'dataset.in-use' });
    await jobs.cancel(stack.projectId, job.id);
    await jobs.delete(stack.projectId, job.id);
    await datasets.delete(stack.projectId, id);
    expect((await datasets.list(stack.projectId)).items).toEqual([]);
  });
});

describe('recipes', () => {
  const document = (name: string, type = 'append') => recipeSchema.parse({ name, stages: [{ type }] });

  it('can be saved, changed, used and deleted', async () => {
    const { recipes, jobs } = stack.service;
    const saved = await recipes.create(stack.projectId, document('small', 'write'));
    await expect(recipes.create(stack.projectId, document('small'))).rejects.toMatchObject({
      code: 'recipe.name-taken',
    });
    const changed = await recipes.update(stack.projectId, saved.id, document('smaller', 'write'));
    expect(changed.name).toBe('smaller');
    const job = await jobs.submit(stack.projectId, { recipe: saved.id, datasets: {} });
    expect(job.recipe.name).toBe('smaller');
    await recipes.delete(stack.projectId, saved.id);
    expect((await jobs.get(stack.projectId, job.id)).recipe.name).toBe('smaller');
    await expect(recipes.get(stack.projectId, saved.id)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('are checked when they are saved', async () => {
    await expect(stack.service.recipes.create(stack.projectId, document('bad', 'shrink'))).rejects.toMatchObject({
      code: 'recipe.invalid',
      details: { field: 'stages[0].type' },
    });
  });
});

describe('an idempotency key', () => {
  it('gives a repeated request its first answer', async () => {
    let calls = 0;
    const work = async () => ({ status: 201, body: { call: (calls += 1), at: new Date(0) } });
    const { idempotency } = stack.service;
    const first = await idempotency.once(stack.projectId, 'k', 'POST /jobs 1', work);
    const second = await idempotency.once(stack.projectId, 'k', 'POST /jobs 1', work);
    expect(first).toEqual({ status: 201, body: { call: 1, at: '1970-01-01T00:00:00.000Z' }, replayed: false });
    expect(second).toEqual({ ...first, replayed: true });
    await expect(idempotency.once(stack.projectId, 'k', 'POST /jobs 2', work)).rejects.toMatchObject({
      code: 'idempotency.mismatch',
    });
  });

  it('lets one of two equal requests through', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { idempotency } = stack.service;
    const work = async () => {
      await held;
      return { status: 200, body: null };
    };
    let refused = 0;
    const calls = [1, 2, 3].map(() => idempotency.once(stack.projectId, 'race', 'same', work));
    for (const call of calls) call.catch(() => (refused += 1));
    const settled = Promise.allSettled(calls);
    await eventually('two are refused', () => refused === 2);
    release();
    expect((await settled).map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
  });

  it('may be used again after a request that failed', async () => {
    const { idempotency } = stack.service;
    const failing = idempotency.once(stack.projectId, 'again', 'same', () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    const work = async () => ({ status: 200, body: 'yes' });
    expect(await idempotency.once(stack.projectId, 'again', 'same', work)).toMatchObject({ body: 'yes' });
  });
});
