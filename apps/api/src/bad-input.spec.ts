/** @file Bad input over HTTP: each a 4xx that names the field and the reason; nothing stored, nothing queued. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readModelFile, STAGES, writeModelFile } from '@modelpress/core';
import { openService } from '@modelpress/service';
import { describeWithShared, sharedPath } from '../../../tools/shared-fixtures';
import { createApi } from './app';
import { form, openApiStack, type ApiStack } from './testing/api-stack';

const MAX_BYTES = 3_000_000;

let api: ApiStack;
beforeAll(async () => {
  api = await openApiStack({ maxUploadBytes: MAX_BYTES, maxUploadFiles: 8, importTimeoutMs: 60_000 });
});
afterAll(() => api.close());

/** What a refused request must not leave behind. */
async function traces(): Promise<Record<string, number>> {
  const { service, projectId, folder } = api.stack;
  const count = async (list: Promise<{ items: readonly unknown[] }>): Promise<number> => (await list).items.length;
  const files = (path: string): Promise<string[]> => readdir(join(folder, path), { recursive: true }).catch(() => []);
  return {
    models: await count(service.models.list(projectId)),
    datasets: await count(service.datasets.list(projectId)),
    recipes: await count(service.recipes.list(projectId)),
    jobs: await count(service.jobs.list(projectId)),
    runs: await count(service.runs.list(projectId)),
    objects: (await files('objects')).length,
    scratch: (await files('scratch')).length,
  };
}

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors: { readonly field: string; readonly message: string; readonly line?: number }[];
  readonly details: Record<string, unknown>;
}

/** Sends what must be refused and looks that nothing remains. */
async function refused(request: () => Promise<Response>): Promise<Refusal> {
  const before = await traces();
  const response = await request();
  const refusal = (await response.json()) as Refusal;
  expect({ refusal, is4xx: response.status >= 400 && response.status < 500 }).toMatchObject({ is4xx: true });
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  expect(refusal.detail.length).toBeGreaterThan(10);
  expect(await traces()).toEqual(before);
  return refusal;
}

type Files = Parameters<typeof form>[1];
const upload = (path: string, fields: object, files: Files) => (): Promise<Response> =>
  api.call('POST', path, { body: form({ name: 'bad', ...fields }, files) });
const dataset = (content: Uint8Array | string, fields: object = {}, name = 'train.csv') =>
  upload('/v1/datasets', fields, [['train', name, content]]);
const model = (files: Files, fields: object = {}) => upload('/v1/models', fields, files);

const rows = (count: number, label = (i: number): string => (i % 2 ? 'a' : 'b')): string =>
  'text,label\n' + Array.from({ length: count }, (_, i) => `this is text ${i},${label(i)}\n`).join('');

describe('uploads', () => {
  it('refuses more bytes than allowed, and names the file', async () => {
    const refusal = await refused(dataset('x'.repeat(MAX_BYTES + 1)));
    expect(refusal).toMatchObject({
      status: 413,
      code: 'upload.too-large',
      details: { file: 'train.csv', maxBytes: MAX_BYTES },
    });
    const together: Files = [1, 2, 3].map((i) => ['files', `part${i}.csv`, 'x'.repeat(MAX_BYTES / 2.5)]);
    expect(await refused(upload('/v1/datasets', {}, together))).toMatchObject({
      status: 413,
      details: { file: 'part3.csv' },
    });
  });

  it('refuses too many files and fields', async () => {
    const many: Files = Array.from({ length: 9 }, (_, i) => ['files', `f${i}.csv`, 'x']);
    expect(await refused(upload('/v1/datasets', {}, many))).toMatchObject({
      status: 413,
      code: 'upload.too-many-files',
    });
    const fields = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`f${i}`, 'x']));
    expect(await refused(dataset(rows(4), fields))).toMatchObject({ status: 413, code: 'upload.too-many-fields' });
    expect(await refused(dataset(rows(4), { select: 'x'.repeat(70_000) }))).toMatchObject({
      status: 413,
      details: { field: 'select' },
    });
  });

  it('refuses a body that ends early', async () => {
    const boundary = 'xyz';
    const whole = `--${boundary}\r\ncontent-disposition: form-data; name="train"; filename="t.csv"\r\n\r\n${rows(50)}`;
    const refusal = await refused(() =>
      api.call('POST', '/v1/datasets', {
        body: whole,
        headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      }),
    );
    expect(refusal).toMatchObject({ status: 400, code: 'upload.truncated' });
  });

  it('keeps nothing when the client goes away in the middle', async () => {
    const before = await traces();
    const head = [
      'POST /v1/datasets HTTP/1.1',
      'host: localhost',
      `authorization: Bearer ${api.keys.admin}`,
      'content-type: multipart/form-data; boundary=xyz',
      'content-length: 100000',
      '',
      '--xyz',
      'content-disposition: form-data; name="train"; filename="t.csv"',
      '',
      rows(50),
    ].join('\r\n');
    await new Promise<void>((resolve) => {
      const socket = connect(api.port, '127.0.0.1', () =>
        socket.write(head, () => setTimeout(() => socket.destroy(), 100)),
      );
      socket.once('close', () => resolve());
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await traces()).toEqual(before);
  });

  it.each([
    '../up.csv',
    '/etc/passwd',
    '.hidden',
    'a/../../b.csv',
    'a/b/c/d.csv',
    'x\\y.csv',
    'é.csv',
    'x'.repeat(300),
  ])('refuses the file name %s', async (name) => {
    expect(await refused(dataset(rows(4), {}, name))).toMatchObject({
      code: 'upload.file-name',
      details: { field: 'train' },
    });
  });

  it('refuses repeated and empty files, no files, and what is no form', async () => {
    const twice: Files = [
      ['train', 'a.csv', rows(4)],
      ['test', 'A.csv', rows(4)],
    ];
    expect(await refused(upload('/v1/datasets', {}, twice))).toMatchObject({
      code: 'upload.repeated-file',
      details: { file: 'A.csv' },
    });
    expect(await refused(dataset(''))).toMatchObject({ code: 'upload.empty-file' });
    expect(await refused(upload('/v1/datasets', {}, []))).toMatchObject({ code: 'upload.empty' });
    expect(await refused(() => api.call('POST', '/v1/datasets', { json: { name: 'x' } }))).toMatchObject({
      status: 415,
      code: 'request.media-type',
    });
  });

  it('names every wrong option', async () => {
    const refusal = await refused(
      dataset(rows(4), { kind: 'poetry', mapping: { text: -1, labl: 'x' }, splits: { dev: 2 }, extra: 'x' }),
    );
    expect(refusal.errors.map(({ field }) => field).sort()).toEqual([
      'extra',
      'kind',
      'mapping.labl',
      'mapping.text',
      'splits.dev',
    ]);
    expect(await refused(dataset(rows(4), { mapping: '{' }))).toMatchObject({
      code: 'upload.options',
      details: { field: 'mapping' },
    });
    expect(await refused(dataset(rows(4), { options: '[1]' }))).toMatchObject({ details: { field: 'options' } });
    expect((await refused(dataset(rows(4), { name: ' ' }))).errors).toMatchObject([{ field: 'name' }]);
  });
});

describe('data sets', () => {
  it('refuses one label, no rows, unknown columns', async () => {
    expect(await refused(dataset(rows(20, () => 'only')))).toMatchObject({
      code: expect.stringMatching(/^dataset\./),
      detail: expect.stringMatching(/label/i),
    });
    expect(await refused(dataset('text,label\n'))).toMatchObject({
      code: expect.stringMatching(/^dataset\./),
      detail: expect.stringMatching(/row|empty|no /i),
    });
    const unknown = await refused(dataset(rows(10), { mapping: { text: 'sentence', label: 'label' } }));
    expect(unknown).toMatchObject({
      detail: expect.stringContaining('sentence'),
      details: { field: expect.stringContaining('text') },
    });
  });

  it('refuses text in no known encoding, and bytes that are no text', async () => {
    const broken = Buffer.concat([Buffer.from(rows(10)), Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x0a])]);
    expect(await refused(dataset(broken, { mapping: { encoding: 'utf-8' } }))).toMatchObject({
      details: { file: 'train.csv' },
    });
    const noise = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256));
    expect((await refused(dataset(noise))).status).toBe(400);
  });

  it('refuses a bomb in gzip before it unfolds, and broken gzip', async () => {
    const bomb = gzipSync(Buffer.alloc(300_000_000, 'a'));
    const refusal = await refused(dataset(bomb, {}, 'train.csv.gz'));
    expect(refusal).toMatchObject({ details: { file: expect.stringContaining('train.csv') } });
    const torn = gzipSync(rows(1000)).subarray(0, 500);
    expect(await refused(dataset(torn, {}, 'train.csv.gz'))).toMatchObject({ status: 400 });
  });

  it('refuses unbalanced quotes and a row too few', async () => {
    expect((await refused(dataset('text,label\n"open,a\nb,c\n'))).status).toBe(400);
    expect((await refused(dataset('{"text": "a", "label": "x"}\n{"text": ', {}, 'train.jsonl'))).details).toMatchObject(
      { line: 2 },
    );
  });
});

describe('models', () => {
  it('refuses what is no model, two models, and pickled weights', async () => {
    expect(await refused(model([['files', 'readme.txt', 'hello']]))).toMatchObject({
      code: 'upload.no-model',
      details: { field: 'files' },
    });
    expect(
      await refused(
        model([
          ['files', 'pytorch_model.bin', 'x'],
          ['files', 'config.json', '{}'],
        ]),
      ),
    ).toMatchObject({ code: 'upload.no-model' });
    expect(
      await refused(
        model([
          ['files', 'a.onnx', 'x'],
          ['files', 'b.onnx', 'y'],
        ]),
      ),
    ).toMatchObject({ code: 'upload.two-models' });
  });

  it('refuses bytes that are no ONNX and no safetensors', async () => {
    const noise = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 256));
    expect((await refused(model([['files', 'model.onnx', noise]]))).code).toMatch(/^onnx\./);
    const config = JSON.stringify({
      model_type: 'bert',
      hidden_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      vocab_size: 10,
      intermediate_size: 16,
      max_position_embeddings: 8,
      type_vocab_size: 2,
      id2label: { 0: 'a', 1: 'b' },
    });
    const header = Buffer.alloc(16);
    header.writeBigUInt64LE(2n ** 60n);
    expect(
      (
        await refused(
          model([
            ['files', 'config.json', config],
            ['files', 'model.safetensors', header],
          ]),
        )
      ).code,
    ).toMatch(/^safetensors\./);
    expect(
      (
        await refused(
          model([
            ['files', 'config.json', 'no'],
            ['files', 'model.safetensors', header],
          ]),
        )
      ).code,
    ).toMatch(/^config\./);
  });

  it('refuses a bundle whose manifest is not true', async () => {
    expect(
      await refused(
        model([
          ['files', 'manifest.json', '{"format":1}'],
          ['files', 'model.onnx', 'x'],
        ]),
      ),
    ).toMatchObject({ code: 'bundle.manifest', details: { file: 'manifest.json' } });
  });
});

describe('recipes and jobs', () => {
  const submit =
    (recipe: unknown, more: object = {}) =>
    (): Promise<Response> =>
      api.call('POST', '/v1/jobs', { json: { recipe, ...more } });
  const recipe = (...stages: object[]): object => ({ name: 'bad', stages });

  it('refuses cycles and unknown stages, saved or submitted', async () => {
    const cycle = recipe({ id: 'a', type: 'append', from: 'b' }, { id: 'b', type: 'append', from: 'a' });
    for (const send of [submit(cycle), () => api.call('POST', '/v1/recipes', { json: cycle })]) {
      const refusal = await refused(send);
      expect(refusal.code).toBe('recipe.invalid');
      expect(refusal.errors).toMatchObject([
        { field: 'stages[0].from', message: expect.stringContaining('a -> b -> a') },
      ]);
    }
    const unknown = await refused(submit(recipe({ type: 'shrink' })));
    expect(unknown.errors).toMatchObject([{ field: 'stages[0].type', message: expect.stringContaining('append') }]);
  });

  it('refuses wrong settings, a missing model and data set, and ids that are not there', async () => {
    const wrong = await refused(submit(recipe({ type: 'write', config: { steps: -1, stps: 3 } })));
    expect(wrong.errors.map(({ field }) => field)).toEqual(['stages[0].config.steps', 'stages[0].config.stps']);
    const missing = await refused(submit(recipe({ type: 'append' }, { type: 'measure' })));
    expect(missing.errors.map(({ field }) => field)).toEqual(['model', 'datasets.data']);
    const nowhere = '00000000-0000-7000-8000-000000000000';
    const noModel = await refused(submit(recipe({ type: 'append' }), { modelId: nowhere }));
    expect(noModel.errors).toMatchObject([{ field: 'modelId' }]);
    const noData = await refused(submit(recipe({ type: 'append' }), { datasets: { data: nowhere } }));
    expect(noData.errors).toMatchObject([{ field: 'datasets.data' }]);
    expect((await refused(submit(nowhere))).errors).toMatchObject([{ field: 'recipe' }]);
    expect((await refused(submit('not a recipe'))).status).toBeLessThan(500);
    const text = 'name: x\nstages:\n  - type: write\n  - type: shrink\n    config: {}\n';
    const yaml = { body: text, headers: { 'content-type': 'application/yaml' } };
    for (const send of [submit(text), () => api.call('POST', '/v1/recipes', yaml)])
      expect((await refused(send)).errors).toMatchObject([{ field: 'stages[1].type', line: 4 }]);
    expect((await refused(submit('name: x\nstages:\n - typ: y\n'))).errors).toMatchObject([{ line: 3 }, { line: 3 }]);
  });

  it('refuses what a stage itself refuses', async () => {
    const refusal = await refused(submit(recipe({ type: 'write' }, { type: 'append', config: { text: 'refused' } })));
    expect(refusal).toMatchObject({
      code: 'job.invalid',
      errors: [{ field: 'stages[1].config.text', message: 'This text is refused.' }],
    });
  });

  it('refuses an endless sweep and a webhook that cannot be signed', async () => {
    const grid = Array.from({ length: 60 }, (_, i) => i);
    const sweep = { ...recipe({ id: 'w', type: 'write' }), sweep: { 'w.config.steps': grid, 'w.seed': grid } };
    expect((await refused(submit(sweep))).errors).toMatchObject([
      { field: 'sweep', message: expect.stringContaining('3600') },
    ]);
    const webhook = await refused(submit(recipe({ type: 'write' }), { webhookUrl: 'https://example.org/hook' }));
    expect(JSON.stringify(webhook)).toContain('webhook');
    expect(
      (await refused(submit(recipe({ type: 'write' }), { webhookUrl: 'file:///etc/passwd' }))).errors,
    ).toMatchObject([{ field: 'webhookUrl' }]);
  });

  it('refuses the same idempotency key for another request', async () => {
    const headers = { 'idempotency-key': 'k' };
    const body = recipe({ type: 'write', config: { text: 'idempotent' } });
    expect((await api.call('POST', '/v1/recipes', { json: body, headers })).status).toBe(201);
    const other = await refused(() => api.call('POST', '/v1/recipes', { json: { ...body, name: 'other' }, headers }));
    expect(other.status).toBe(409);
  });
});

describeWithShared('real models', () => {
  const fixture = (...path: string[]): Promise<Buffer> => readFile(sharedPath('fixtures', ...path));

  it('refuses external data that points outside the upload', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-external-'));
    const source = await readModelFile(sharedPath('fixtures', 'onnx', 'bert-legacy-op17', 'model.onnx'));
    await writeModelFile(source, join(folder, 'model.onnx'), { externalDataAbove: 1024 });
    const bytes = await readFile(join(folder, 'model.onnx'));
    const [data = ''] = (await readdir(folder)).filter((name) => name !== 'model.onnx');
    const weights = await readFile(join(folder, data));
    await rm(folder, { recursive: true });
    const tokenizer: Files = [['files', 'tokenizer.json', await fixture('hf', 'bert', 'tokenizer.json')]];
    const whole: Files = [['files', 'model.onnx', bytes], ['files', data, weights], ...tokenizer];
    expect((await model(whole, { name: 'good' })()).status).toBe(201);
    for (const outside of ['../../../../../../etc/passwd', '/etc/passwd', 'C:\\windows\\win.ini'].map((path) =>
      path.padEnd(data.length, '_').slice(0, data.length),
    )) {
      const forged = Buffer.from(bytes.toString('latin1').replaceAll(data, outside), 'latin1');
      const refusal = await refused(model([['files', 'model.onnx', forged], ['files', data, weights], ...tokenizer]));
      expect(refusal.code).toMatch(/^onnx\.external-data/);
    }
    const without = await refused(model([['files', 'model.onnx', bytes], ...tokenizer]));
    expect(without).toMatchObject({ code: expect.stringMatching(/^onnx\./), detail: expect.stringContaining(data) });
  });

  it('refuses a truncated checkpoint and a tokenizer of another model', async () => {
    const weights = await fixture('hf', 'bert', 'model.safetensors');
    const config = await fixture('hf', 'bert', 'config.json');
    const torn = await refused(
      model([
        ['files', 'config.json', config],
        ['files', 'model.safetensors', weights.subarray(0, weights.length - 1000)],
      ]),
    );
    expect(torn).toMatchObject({
      code: expect.stringMatching(/^safetensors\./),
      details: { file: 'model.safetensors' },
    });
    const words = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`word${i}`, i + 5]));
    const vocab = { '[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, '[MASK]': 4, ...words };
    const tokenizer = JSON.parse((await fixture('hf', 'bert', 'tokenizer.json')).toString()) as {
      model: { vocab: object };
    };
    tokenizer.model.vocab = vocab;
    const files: Files = [
      ['files', 'config.json', config],
      ['files', 'model.safetensors', weights],
      ['files', 'tokenizer.json', JSON.stringify(tokenizer)],
    ];
    expect((await refused(model(files))).code).toBe('bundle.vocabulary');
  });

  it('refuses a job whose data has a label that the model lacks', async () => {
    const service = await openService(api.stack.config, STAGES);
    const real = await createApi(service, { logLevel: 'silent' });
    const headers = { authorization: `Bearer ${api.keys.admin}` };
    try {
      const names = ['config.json', 'model.safetensors', 'tokenizer.json'];
      const files: Files = await Promise.all(
        names.map(async (name) => ['files', name, await fixture('hf', 'bert', name)] as const),
      );
      const { id: modelId } = (await (await model(files)()).json()) as { id: string };
      const { id: data } = (await (await dataset(rows(20))()).json()) as { id: string };
      const payload = {
        recipe: { name: 'bad', stages: [{ type: 'evaluate', config: { split: 'train' } }] },
        modelId,
        datasets: { data },
      };
      for (const url of ['/v1/jobs', '/v1/jobs/dry-run']) {
        const response = await real.inject({ method: 'POST', url, headers, payload });
        expect(response.json()).toMatchObject({
          status: 400,
          code: 'job.invalid',
          errors: [{ code: 'unknown-label', message: expect.stringContaining('a, b') }],
        });
      }
      expect((await service.jobs.list(api.stack.projectId)).items).toEqual([]);
    } finally {
      await real.close();
      await service.close();
    }
  });
});
