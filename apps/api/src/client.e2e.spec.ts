/** @file packages/client against the real API. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { ApiError, Client, everyItem, fileFromPath, filesFromFolder } from '@modelpress/client';
import { openApiStack, type ApiStack } from './testing/api-stack';

let api: ApiStack;
let client: Client;
let folder: string;

beforeAll(async () => {
  api = await openApiStack();
  client = new Client({ url: api.url, key: api.keys.admin });
  folder = await mkdtemp(join(tmpdir(), 'modelpress-client-'));
  await api.stack.startWorkers();
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await api.close();
});

it('uploads from disk, submits, watches, reports, downloads', async () => {
  const rows = Array.from({ length: 50 }, (_, i) => `${i % 2 ? 'odd' : 'even'}\tthis is number ${i}\n`).join('');
  await writeFile(join(folder, 'train.tsv'), `label\ttext\n${rows}`);
  const progress: number[] = [];
  const dataset = await client.datasets.upload(
    { name: 'numbers', mapping: { text: 'text', label: 'label' } },
    [fileFromPath(join(folder, 'train.tsv'), 'train')],
    { onProgress: (bytes) => progress.push(bytes) },
  );
  expect(dataset.info.splits.train?.rows).toBe(50);
  expect(progress.at(-1)).toBe(Buffer.byteLength(`label\ttext\n${rows}`));

  const recipe = 'name: small\nstages:\n  - { type: write, config: { text: made } }\n  - type: measure\n';
  const dry = await client.jobs.dryRun({ recipe, datasets: { data: dataset.id } });
  expect(dry.variants[0]?.stages).toHaveLength(2);
  const job = await client.jobs.submit({ recipe, datasets: { data: dataset.id } }, { idempotencyKey: 'a' });
  expect((await client.jobs.submit({ recipe, datasets: { data: dataset.id } }, { idempotencyKey: 'a' })).id).toBe(
    job.id,
  );
  const kinds = new Set<string>();
  for await (const { kind } of client.jobs.watch(job.id)) kinds.add(kind);
  expect([...kinds]).toEqual(expect.arrayContaining(['job.created', 'job.state', 'run.state']));
  expect((await client.jobs.get(job.id)).state).toBe('succeeded');
  expect((await client.jobs.report(job.id)).variants[0]?.report.result).toBe('write');
  expect(await client.jobs.reportPage(job.id)).toContain('<!doctype html>');
  const archive = await client.jobs.archive(job.id);
  expect([archive.name, (await buffer(archive.body)).byteLength]).toEqual(['small.tar', archive.bytes]);

  const jobs: string[] = [];
  for await (const { id } of everyItem(client.jobs.list, 1)) jobs.push(id);
  expect(jobs).toEqual([job.id]);
});

it('sees events while they happen and stops when told', async () => {
  const controller = new AbortController();
  const events = client.events({ signal: controller.signal });
  const { value } = await events.next();
  expect(value).toMatchObject({ kind: 'job.created' });
  controller.abort();
  for await (const _ of events) continue;
});

it('throws refusals with their fields', async () => {
  await writeFile(join(folder, 'readme.txt'), 'no model');
  const refused = await client.models
    .upload({ name: 'none' }, await filesFromFolder(folder))
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ApiError);
  expect(refused).toMatchObject({ status: 400, code: 'upload.no-model', details: { field: 'files' } });
  const strange = new Client({ url: api.url, key: 'wrong' });
  await expect(strange.me()).rejects.toMatchObject({ status: 401 });
  await expect(client.jobs.submit({ recipe: { name: 'x', stages: [{ type: 'y' }] } })).rejects.toMatchObject({
    errors: [{ field: 'stages[0].type', code: 'unknown-stage' }],
  });
});
