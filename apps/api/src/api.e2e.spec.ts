/** @file Every route over HTTP against a real service. Each answer is checked against the schema that documents it. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { testManifest } from '@modelpress/service/testing';
import { describeWithShared, sharedPath } from '../../../tools/shared-fixtures';
import { pageOf } from './common/page';
import { form, openApiStack, type ApiStack } from './testing/api-stack';
import { artifactView, datasetView, importedModelView, modelView, recipeView } from './views/inputs';
import { dryRunView, jobDetail, jobView, runDetail, runView } from './views/jobs';
import {
  comparisonView,
  logView,
  metricsView,
  queueView,
  readinessView,
  reportView,
  stageTypeView,
} from './views/results';
import { callerView, keyView, newKeyView, projectView } from './views/tenancy';

let api: ApiStack;

beforeAll(async () => {
  api = await openApiStack();
});
afterAll(() => api.close());

/** The answer, which must have this status and match this schema. */
async function answer<S extends z.ZodType>(response: Response, schema: S, status = 200): Promise<z.output<S>> {
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status });
  return schema.parse(body);
}

const RECIPE = {
  name: 'two steps',
  stages: [{ type: 'append', config: { text: ' world', steps: 3 } }, { type: 'measure' }],
  goals: { maxDrop: { absolute: 0.1 } },
};

const CSV =
  'text,label\n' + Array.from({ length: 40 }, (_, i) => `text number ${i},${i % 2 ? 'odd' : 'even'}\n`).join('');

const uploadDataset = async (): Promise<z.output<typeof datasetView>> =>
  answer(
    await api.call('POST', '/v1/datasets', {
      body: form({ name: 'numbers' }, [
        ['train', 'train.csv', CSV],
        ['test', 'test.csv', CSV],
      ]),
    }),
    datasetView,
    201,
  );

describe('projects and keys', () => {
  it('says who calls, makes keys, and shows their secret once', async () => {
    const me = await answer(await api.call('GET', '/v1/me'), callerView);
    expect(me).toMatchObject({ role: 'admin', operator: false, project: { name: 'test' } });
    const path = `/v1/projects/${me.project.id}`;
    await answer(await api.call('PATCH', path, { json: { retentionDays: 30 } }), projectView);
    expect(await answer(await api.call('GET', path), projectView)).toMatchObject({ name: 'test', retentionDays: 30 });
    const made = await answer(
      await api.call('POST', `${path}/keys`, { json: { name: 'ci', role: 'submitter' } }),
      newKeyView,
      201,
    );
    expect((await api.call('GET', '/v1/jobs', { key: made.secret })).status).toBe(200);
    const listed = await api.call('GET', `${path}/keys`);
    const text = await listed.clone().text();
    await answer(listed, keyView.array());
    expect(text).toContain(made.prefix);
    expect(text).not.toContain(made.secret);
    expect((await api.call('DELETE', `${path}/keys/${made.id}`)).status).toBe(204);
    expect((await api.call('GET', '/v1/jobs', { key: made.secret })).status).toBe(401);
  });
});

describe('data sets', () => {
  it('takes files by split and answers with statistics', async () => {
    const dataset = await uploadDataset();
    expect(dataset.info).toMatchObject({
      labels: ['even', 'odd'],
      splits: { train: { rows: 40, labels: { even: 20 } } },
    });
    expect(await answer(await api.call('GET', `/v1/datasets/${dataset.id}`), datasetView)).toEqual(dataset);
    const files = await (await api.call('GET', `/v1/datasets/${dataset.id}/files`)).json();
    expect(files).toEqual(expect.arrayContaining([expect.objectContaining({ path: 'dataset.json' })]));
    const { items } = await answer(await api.call('GET', '/v1/datasets'), pageOf(datasetView));
    expect(items[0]).toEqual(dataset);
    expect((await api.call('DELETE', `/v1/datasets/${dataset.id}`)).status).toBe(204);
    expect((await api.call('GET', `/v1/datasets/${dataset.id}`)).status).toBe(404);
  });

  it('takes a mapping, cuts splits off, and checks digests', async () => {
    const content =
      'a;b\n' + Array.from({ length: 100 }, (_, i) => `${i % 3 ? 'x' : 'y'};this is text ${i}\n`).join('');
    const sha256 = { 'all.txt': createHash('sha256').update(content).digest('hex') };
    const options = {
      format: 'csv',
      mapping: { text: 'b', label: 'a', delimiter: ';' },
      splits: { test: 0.2 },
      sha256,
    };
    const upload = (fields: object) =>
      api.call('POST', '/v1/datasets', {
        body: form({ name: 'mapped', options: fields }, [['files', 'all.txt', content]]),
      });
    const { info } = await answer(await upload(options), datasetView, 201);
    expect(info.labels).toEqual(['x', 'y']);
    expect([info.splits.train?.rows, info.splits.test?.rows]).toEqual([80, 20]);
    const body = form({ name: 'auto', format: 'csv', splits: 'auto', mapping: options.mapping }, [
      ['files', 'all.txt', content],
    ]);
    const auto = await answer(await api.call('POST', '/v1/datasets', { body }), datasetView, 201);
    expect([auto.info.splits.train?.rows, auto.info.splits.dev?.rows, auto.info.splits.test?.rows]).toEqual([
      70, 10, 20,
    ]);
    const wrong = await upload({ ...options, sha256: { 'all.txt': 'f'.repeat(64) } });
    expect(await wrong.json()).toMatchObject({ status: 400, code: 'upload.checksum', details: { file: 'all.txt' } });
  });
});

describe('recipes', () => {
  it('saves YAML, lists, replaces and deletes', async () => {
    const body = 'name: kept\nstages:\n  - type: append\n';
    const headers = { 'content-type': 'application/yaml' };
    const saved = await answer(await api.call('POST', '/v1/recipes', { body, headers }), recipeView, 201);
    expect(saved.document.stages[0]).toMatchObject({ type: 'append' });
    const changed = { name: 'kept', stages: [{ type: 'append', config: { text: 'x' } }] };
    await answer(await api.call('PUT', `/v1/recipes/${saved.id}`, { json: changed }), recipeView);
    const again = await answer(await api.call('GET', `/v1/recipes/${saved.id}`), recipeView);
    expect(again.document.stages[0]?.config).toEqual({ text: 'x' });
    await answer(await api.call('GET', '/v1/recipes'), pageOf(recipeView));
    expect((await api.call('POST', '/v1/recipes', { json: changed })).status).toBe(409);
    expect((await api.call('DELETE', `/v1/recipes/${saved.id}`)).status).toBe(204);
  });
});

describe('stages, queue, health', () => {
  it('describes stage types by JSON Schema', async () => {
    const stages = await answer(await api.call('GET', '/v1/stages'), stageTypeView.array());
    expect(stages.map(({ type }) => type)).toEqual(['write', 'append', 'learn', 'measure']);
    const one = await answer(await api.call('GET', '/v1/stages/measure'), stageTypeView);
    expect(one).toMatchObject({
      needs: { model: true, baseline: true, datasets: ['data'] },
      schema: { type: 'object' },
    });
    expect((await api.call('GET', '/v1/stages/constructor')).status).toBe(404);
  });

  it('is healthy, ready and measured', async () => {
    await answer(await fetch(`${api.url}/readyz`), readinessView);
    await answer(await api.call('GET', '/v1/queue'), queueView);
    const metrics = await api.call('GET', '/metrics');
    expect(await metrics.text()).toMatch(/^# HELP /m);
  });
});

describe('a job from submission to report', () => {
  let dataset: z.output<typeof datasetView>;
  let job: z.output<typeof jobDetail>;
  let modelId: string;

  beforeAll(async () => {
    dataset = await uploadDataset();
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-bundle-'));
    await writeFile(join(folder, 'model.txt'), 'hello');
    const { service, projectId } = api.stack;
    modelId = (await service.models.create(projectId, { name: 'hello', folder, manifest: testManifest })).id;
    await rm(folder, { recursive: true });
    await api.stack.startWorkers();
  });

  it('estimates without queueing, by both spellings', async () => {
    const json = { recipe: RECIPE, modelId, datasets: { data: dataset.id } };
    for (const path of ['/v1/jobs/dry-run', '/v1/jobs:dry-run']) {
      const dry = await answer(await api.call('POST', path, { json, key: api.keys.viewer }), dryRunView);
      expect(dry.variants[0]?.stages.map(({ stage }) => stage)).toEqual(['append', 'measure']);
    }
    expect((await answer(await api.call('GET', '/v1/jobs'), pageOf(jobView))).items).toEqual([]);
  });

  it('runs, streams its events to the end, and resumes after the last one seen', async () => {
    const json = { recipe: RECIPE, modelId, datasets: { data: dataset.id }, name: 'e2e' };
    const headers = { 'idempotency-key': 'once' };
    job = await answer(await api.call('POST', '/v1/jobs', { json, key: api.keys.submitter, headers }), jobDetail, 201);
    const repeated = await api.call('POST', '/v1/jobs', { json, key: api.keys.submitter, headers });
    expect(repeated.headers.get('idempotency-replayed')).toBe('true');
    expect((await answer(repeated, jobDetail, 201)).id).toBe(job.id);

    const stream = await api.call('GET', `/v1/jobs/${job.id}/events`);
    expect(stream.headers.get('content-type')).toContain('text/event-stream');
    const text = await stream.text();
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    expect(text).toMatch(/event: job\.state\ndata: .*"state":"succeeded"/);

    const middle = ids[Math.floor(ids.length / 2)];
    const rest = await (
      await api.call('GET', `/v1/jobs/${job.id}/events`, { headers: { 'last-event-id': String(middle) } })
    ).text();
    // Progress and curve points are dropped when their run ends: what stays must come again, all of it.
    const lasting = (events: string): number[] =>
      [...events.matchAll(/^id: (\d+)\nevent: (?!run\.(?:progress|metrics))/gm)].map(([, id]) => Number(id));
    expect(lasting(rest)).toEqual(lasting(text).filter((id) => id > (middle ?? 0)));
    expect(lasting(rest).length).toBeGreaterThan(0);
    expect((await api.call('GET', `/v1/jobs/${job.id}/events`, { headers: { 'last-event-id': 'x' } })).status).toBe(
      400,
    );
  });

  it('shows the job, its runs, logs and curves', async () => {
    const done = await answer(await api.call('GET', `/v1/jobs/${job.id}`), jobDetail);
    expect(done).toMatchObject({ state: 'succeeded', progress: 1 });
    const runId = done.stages.find(({ stage }) => stage === 'append')?.runId;
    const run = await answer(await api.call('GET', `/v1/stage-runs/${runId}`), runDetail);
    expect(run.attempts).toHaveLength(1);
    await answer(await api.call('GET', '/v1/stage-runs?type=measure&state=succeeded'), pageOf(runView));
    const logs = await answer(await api.call('GET', `/v1/stage-runs/${runId}/logs`), logView.array());
    expect(logs.map(({ message }) => message)).toContain('starts at step 0');
    for (const query of ['', '?follow=true']) {
      const text = await (await api.call('GET', `/v1/stage-runs/${runId}/logs.txt${query}`)).text();
      expect(text).toMatch(/^\d{4}-\S+Z info {2}\[1\] starts at step 0 \{"attempt":1\}$/m);
    }
    const curves = await answer(await api.call('GET', `/v1/stage-runs/${runId}/metrics`), metricsView);
    expect(curves).toEqual([
      {
        name: 'loss',
        points: [
          [1, 1],
          [2, 1 / 2],
          [3, 1 / 3],
        ],
      },
    ]);
  });

  it('reports as JSON and as a page, and compares', async () => {
    const report = await answer(await api.call('GET', `/v1/jobs/${job.id}/report`), reportView);
    expect(report).toMatchObject({ goalsReached: true, variants: [{ variant: 0, report: { result: 'append' } }] });
    const page = await api.call('GET', `/v1/jobs/${job.id}/report.html`);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await page.text()).toContain('The goal is met.');
    expect((await api.call('GET', `/v1/jobs/${job.id}/report.html?variant=3`)).status).toBe(404);
    await answer(await api.call('GET', `/v1/compare?job=${job.id}`), comparisonView);
    await answer(await api.call('GET', `/v1/compare?job=${job.id}&job=${job.id}`), comparisonView);
  });

  it('gives the resulting model as a tar, file by file, and by ranges', async () => {
    const archive = await api.call('GET', `/v1/jobs/${job.id}/archive`);
    expect(archive.headers.get('content-disposition')).toBe('attachment; filename="e2e.tar"');
    const bytes = Buffer.from(await archive.arrayBuffer());
    expect(bytes.byteLength).toBe(Number(archive.headers.get('content-length')));
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-tar-'));
    await writeFile(join(folder, 'x.tar'), bytes);
    execFileSync('tar', ['-xf', 'x.tar'], { cwd: folder });
    expect(await readFile(join(folder, 'model.txt'), 'utf8')).toBe('hello world');
    expect((await readdir(folder)).sort()).toEqual(['model.txt', 'shared.txt', 'x.tar']);
    await rm(folder, { recursive: true });

    const { stages } = await answer(await api.call('GET', `/v1/jobs/${job.id}`), jobDetail);
    const { outputId } = await answer(await api.call('GET', `/v1/stage-runs/${stages[0]?.runId}`), runDetail);
    const artifact = await answer(await api.call('GET', `/v1/artifacts/${outputId}`), artifactView);
    const path = `/v1/artifacts/${outputId}/files/model.txt`;
    const whole = await api.call('GET', path);
    const sha256 = createHash('sha256').update('hello world').digest('hex');
    expect(whole.headers.get('etag')).toBe(`"${sha256}"`);
    expect(artifact.files).toContainEqual({ path: 'model.txt', sha256, bytes: 11 });
    expect(await whole.text()).toBe('hello world');
    const part = await api.call('GET', path, { headers: { range: 'bytes=6-8' } });
    expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 6-8/11', 'wor']);
    const tail = await api.call('GET', path, { headers: { range: 'bytes=-5' } });
    expect(await tail.text()).toBe('world');
    const outside = await api.call('GET', path, { headers: { range: 'bytes=11-' } });
    expect([outside.status, outside.headers.get('content-range')]).toEqual([416, 'bytes */11']);
    const same = await api.call('GET', path, { headers: { 'if-none-match': `"${sha256}"` } });
    expect([same.status, await same.text()]).toEqual([304, '']);
    const changed = await api.call('GET', path, { headers: { range: 'bytes=0-1', 'if-range': '"another"' } });
    expect(changed.status).toBe(200);
    expect((await api.call('HEAD', path)).headers.get('content-length')).toBe('11');
    for (const missing of ['nothing', '..%2f..%2fetc%2fpasswd', '../manifest.json'])
      expect((await api.call('GET', `/v1/artifacts/${outputId}/files/${missing}`)).status).toBe(404);
  });

  it('clones; pauses, resumes, cancels, retries; deletes', async () => {
    const changes = {
      recipe: { name: RECIPE.name, stages: [{ type: 'append', config: { text: 'slow', steps: 500 } }] },
      name: 'slow',
    };
    const clone = await answer(await api.call('POST', `/v1/jobs/${job.id}/clone`, { json: changes }), jobDetail, 201);
    expect(clone).toMatchObject({ clonedFrom: job.id, name: 'slow', modelId });
    const act = async (verb: string): Promise<string> =>
      (await answer(await api.call('POST', `/v1/jobs/${clone.id}:${verb}`), jobDetail)).state;
    expect(await act('pause')).toBe('paused');
    expect(await act('resume')).toMatch(/^(queued|running)$/);
    const early = await api.call('DELETE', `/v1/jobs/${clone.id}`);
    expect(await early.json()).toMatchObject({ status: 409 });
    expect(await act('cancel')).toBe('cancelled');
    const again = await api.call('POST', `/v1/jobs/${clone.id}/cancel`);
    expect(again.status).toBe(409);
    expect(await act('retry')).toMatch(/^(queued|running)$/);
    expect(await act('cancel')).toBe('cancelled');
    expect((await api.call('DELETE', `/v1/jobs/${clone.id}`)).status).toBe(204);
    expect((await api.call('GET', `/v1/jobs/${clone.id}`)).status).toBe(404);
  });

  it('shows another project none of it', async () => {
    const { stages } = await answer(await api.call('GET', `/v1/jobs/${job.id}`), jobDetail);
    const runId = stages[0]?.runId ?? '';
    const { outputId } = await answer(await api.call('GET', `/v1/stage-runs/${runId}`), runDetail);
    const { project } = await answer(await api.call('GET', '/v1/me'), callerView);
    const paths = [
      `/v1/models/${modelId}`,
      `/v1/models/${modelId}/files`,
      `/v1/models/${modelId}/archive`,
      `/v1/datasets/${dataset.id}`,
      `/v1/datasets/${dataset.id}/files`,
      `/v1/artifacts/${outputId}`,
      `/v1/artifacts/${outputId}/archive`,
      `/v1/artifacts/${outputId}/files/model.txt`,
      `/v1/jobs/${job.id}`,
      `/v1/jobs/${job.id}/events`,
      `/v1/jobs/${job.id}/report`,
      `/v1/jobs/${job.id}/report.html`,
      `/v1/jobs/${job.id}/archive`,
      `/v1/stage-runs/${runId}`,
      `/v1/stage-runs/${runId}/logs`,
      `/v1/stage-runs/${runId}/logs.txt`,
      `/v1/stage-runs/${runId}/metrics`,
      `/v1/compare?job=${job.id}`,
      `/v1/projects/${project.id}`,
      `/v1/projects/${project.id}/keys`,
    ];
    const key = api.stranger;
    for (const path of paths) {
      expect([path, (await api.call('GET', path)).status]).toEqual([path, 200]);
      expect([path, (await api.call('GET', path, { key })).status]).toEqual([path, 404]);
    }
    for (const verb of ['cancel', 'pause', 'resume', 'retry', 'clone'])
      expect((await api.call('POST', `/v1/jobs/${job.id}/${verb}`, { key, json: {} })).status).toBe(404);
    for (const path of [`/v1/jobs/${job.id}`, `/v1/models/${modelId}`, `/v1/datasets/${dataset.id}`])
      expect((await api.call('DELETE', path, { key })).status).toBe(404);
    for (const list of ['jobs', 'models', 'datasets', 'recipes', 'stage-runs'])
      expect(await (await api.call('GET', `/v1/${list}`, { key })).json()).toEqual({ items: [], next: null });
    const borrowed = await api.call('POST', '/v1/jobs', {
      key,
      json: { recipe: RECIPE, modelId, datasets: { data: dataset.id } },
    });
    expect(borrowed.status).toBeGreaterThanOrEqual(400);
    expect(borrowed.status).toBeLessThan(500);
  });

  it('answers 404 for ids that cannot be', async () => {
    for (const path of [
      'jobs/x',
      'models/x',
      'datasets/x',
      'recipes/x',
      'stage-runs/x',
      'artifacts/x',
      'jobs/x/report',
      'stage-runs/x/logs',
      'stage-runs/x/metrics',
      'artifacts/x/files/a',
      'compare?job=x',
    ])
      expect([path, (await api.call('GET', `/v1/${path}`)).status]).toEqual([path, 404]);
  });

  it('pages through lists', async () => {
    for (let i = 0; i < 3; i++)
      await answer(await api.call('POST', '/v1/recipes', { json: { ...RECIPE, name: `page ${i}` } }), recipeView, 201);
    const names: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const page = await answer(await api.call('GET', `/v1/recipes?limit=2${query}`), pageOf(recipeView));
      names.push(...page.items.map(({ name }) => name));
      cursor = page.next;
    }
    expect(names).toEqual(['page 2', 'page 1', 'page 0']);
    expect((await api.call('GET', '/v1/recipes?cursor=nonsense')).status).toBe(400);
  });
});

describeWithShared('models', () => {
  const hugging = async (name: string): Promise<FormData> => {
    const files = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    const read = async (file: string) =>
      ['files', file, await readFile(sharedPath('fixtures', 'hf', name, file))] as const;
    return form({ name: `${name} from hf` }, await Promise.all(files.map(read)));
  };

  it('imports a Hugging Face checkpoint; its archive can be uploaded again', async () => {
    const model = await answer(
      await api.call('POST', '/v1/models', { body: await hugging('bert') }),
      importedModelView,
      201,
    );
    expect(model).toMatchObject({ name: 'bert from hf', manifest: { architecture: 'bert', task: 'classification' } });
    expect((await answer(await api.call('GET', '/v1/models'), pageOf(modelView))).items[0]?.id).toBe(model.id);
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-tar-'));
    const tar = await api.call('GET', `/v1/models/${model.id}/archive`);
    await writeFile(join(folder, 'x.tar'), Buffer.from(await tar.arrayBuffer()));
    execFileSync('tar', ['-xf', 'x.tar'], { cwd: folder });
    await rm(join(folder, 'x.tar'));
    const names = await readdir(folder);
    const files = await Promise.all(
      names.map(async (name) => ['files', name, await readFile(join(folder, name))] as const),
    );
    const again = await answer(
      await api.call('POST', '/v1/models', { body: form({ name: 'again' }, files) }),
      importedModelView,
      201,
    );
    expect(again.manifest).toEqual({ ...model.manifest, name: 'again' });
    await rm(folder, { recursive: true });
  });

  it('imports ONNX with tokenizer and labels', async () => {
    const onnx = await readFile(sharedPath('fixtures', 'onnx', 'bert-legacy-op17', 'model.onnx'));
    const tokenizer = await readFile(sharedPath('fixtures', 'hf', 'bert', 'tokenizer.json'));
    const body = form({ name: 'onnx', labels: ['x', 'y', 'z'] }, [
      ['files', 'model.onnx', onnx],
      ['files', 'tokenizer.json', tokenizer],
    ]);
    const model = await answer(await api.call('POST', '/v1/models', { body }), importedModelView, 201);
    expect(model.manifest).toMatchObject({ task: 'classification', tokenizer: { kind: 'wordpiece' } });
    expect(model.manifest.config['id2label']).toEqual({ 0: 'x', 1: 'y', 2: 'z' });
    const labels = await api.call('GET', `/v1/artifacts/${model.artifactId}/files/labels.json`);
    expect(await labels.json()).toEqual(['x', 'y', 'z']);
  });
});
