import { readFileSync } from 'node:fs';
import { ModelpressError } from '@modelpress/core';
import type { Service } from '@modelpress/service';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApi } from './app';
import type { ApiConfig } from './config';
import { openApiDocument } from './openapi/document';
import { OPENAPI_FILE, openApiText } from './openapi/write';
import { bearer, SECRETS, stubService } from './testing/stub-service';

const apps: NestFastifyApplication[] = [];

async function start(service: Service, config: Partial<ApiConfig> = {}): Promise<NestFastifyApplication> {
  const app = await createApi(service, { logLevel: 'silent', ...config });
  await app.getHttpAdapter().getInstance().ready();
  apps.push(app);
  return app;
}

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

/** Every documented route with its method, path parameters filled in. */
function routesOf(app: NestFastifyApplication): { method: string; path: string; summary: string }[] {
  return Object.entries(openApiDocument(app).paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, operation]) =>
      typeof operation === 'object' && 'summary' in operation
        ? [{ method: method.toUpperCase(), path: path.replace(/\{\w+\}/g, 'x'), summary: String(operation.summary) }]
        : [],
    ),
  );
}

describe('access', () => {
  it('lets no route but health and documentation answer without a key', async () => {
    const app = await start(stubService());
    const open: string[] = [];
    const routes = routesOf(app);
    for (const { method, path } of routes) {
      const response = await app.inject({ method: method as 'GET', url: path });
      if (response.json<{ code?: string }>().code !== 'auth.missing') open.push(`${method} ${path}`);
    }
    expect(open.sort()).toEqual(['GET /healthz', 'GET /readyz']);
    expect(routes.length).toBeGreaterThan(40);
  });

  it('documents every route that Fastify serves', async () => {
    const app = await start(stubService());
    const documented = new Set(routesOf(app).map(({ method, path }) => `${method} ${path}`));
    const served = app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false });
    const paths = [...served.matchAll(/(\/v1\S*) \(([A-Z, ]+)\)/g)];
    for (const [, path = '', methods = ''] of paths)
      for (const method of methods.split(', ').filter((name) => name !== 'HEAD' && name !== 'OPTIONS'))
        expect(documented).toContain(`${method} ${path.replace(/:\w+|\*/g, 'x')}`);
    expect(paths.length).toBeGreaterThan(10);
  });

  it('refuses wrong keys, odd headers, and roles that are too low', async () => {
    const app = await start(stubService());
    for (const authorization of ['Bearer wrong', 'Bearer', 'Basic bXA6eA==', 'Bearer a b', ''])
      expect((await app.inject({ url: '/v1/jobs', headers: { authorization } })).statusCode).toBe(401);
    const submit = await app.inject({ method: 'POST', url: '/v1/jobs', headers: bearer(SECRETS.viewer), payload: {} });
    expect(submit.json()).toMatchObject({
      status: 403,
      code: 'auth.role',
      details: { needed: 'submitter', role: 'viewer' },
    });
    const remove = await app.inject({ method: 'DELETE', url: '/v1/jobs/x', headers: bearer(SECRETS.submitter) });
    expect(remove.statusCode).toBe(403);
    const projects = await app.inject({ url: '/v1/projects', headers: bearer(SECRETS.admin) });
    expect(projects.statusCode).toBe(403);
  });

  it('lets the operator key manage projects, and others only their own', async () => {
    const project = {
      id: 'project-1',
      name: 'default',
      maxConcurrentRuns: null,
      retentionDays: null,
      createdAt: new Date(),
    };
    const service = stubService({ projects: { list: async () => [project], get: async () => project } });
    const app = await start(service, { operatorKey: SECRETS.admin });
    expect((await app.inject({ url: '/v1/projects', headers: bearer(SECRETS.admin) })).json()).toHaveLength(1);
    expect((await app.inject({ url: '/v1/projects/other', headers: bearer(SECRETS.admin) })).statusCode).toBe(200);
    expect((await app.inject({ url: '/v1/projects/other', headers: bearer(SECRETS.viewer) })).statusCode).toBe(404);
    expect((await app.inject({ url: '/v1/projects/project-1', headers: bearer(SECRETS.viewer) })).statusCode).toBe(200);
  });

  it('limits requests by key and guesses by address', async () => {
    const service = stubService({ jobs: { list: async () => ({ items: [], next: null }) } });
    const app = await start(service, { rateLimit: { perSecond: 0.1, burst: 2 } });
    const get = (secret: string) => app.inject({ url: '/v1/jobs', headers: bearer(secret) });
    expect((await get(SECRETS.viewer)).statusCode).toBe(200);
    expect((await get(SECRETS.viewer)).statusCode).toBe(200);
    const third = await get(SECRETS.viewer);
    expect(third.statusCode).toBe(429);
    expect(Number(third.headers['retry-after'])).toBeGreaterThan(0);
    expect((await get(SECRETS.admin)).statusCode).toBe(200);
    const statuses = new Set<number>();
    for (let guess = 0; guess < 35; guess++) statuses.add((await get(`guess-${guess}`)).statusCode);
    expect([...statuses]).toEqual([401, 429]);
  });
});

describe('problems', () => {
  const admin = bearer(SECRETS.admin);

  it('is problem+json with a code and the request id, also for unknown routes', async () => {
    const app = await start(stubService());
    const response = await app.inject({ url: '/v1/nothing', headers: { 'x-request-id': 'abc-1' } });
    expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(response.headers['x-request-id']).toBe('abc-1');
    expect(response.json()).toMatchObject({ status: 404, code: 'request.no-route', requestId: 'abc-1' });
    const injected = await app.inject({ url: '/v1/nothing', headers: { 'x-request-id': 'a\u0001b' } });
    expect(injected.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('names every wrong field', async () => {
    const app = await start(stubService());
    const payload = {
      recipe: { name: '', stages: [{ config: [] }] },
      priority: 12,
      extra: 1,
      datasets: { other: 'x' },
    };
    const response = await app.inject({ method: 'POST', url: '/v1/jobs', headers: admin, payload });
    expect(response.statusCode).toBe(400);
    const fields = response.json<{ errors: { field: string }[] }>().errors.map(({ field }) => field);
    expect(fields.sort()).toEqual([
      'datasets.other',
      'extra',
      'priority',
      'recipe.name',
      'recipe.stages[0].config',
      'recipe.stages[0].type',
    ]);
    const query = await app.inject({ url: '/v1/jobs?limit=0&state=odd&x=1', headers: admin });
    expect(
      query
        .json<{ errors: { field: string }[] }>()
        .errors.map(({ field }) => field)
        .sort(),
    ).toEqual(['limit', 'state', 'x']);
  });

  it('gives field and line of a recipe in YAML', async () => {
    const app = await start(stubService());
    const headers = { ...admin, 'content-type': 'application/yaml' };
    const payload = 'name: small\nstages:\n  - type: quantize\n    confg: {}\n';
    const response = await app.inject({ method: 'POST', url: '/v1/recipes', headers, payload });
    expect(response.json()).toMatchObject({
      status: 400,
      code: 'recipe.invalid',
      errors: [{ field: 'stages[0].confg', line: 4 }],
    });
    const broken = await app.inject({ method: 'POST', url: '/v1/recipes', headers, payload: 'name: [' });
    expect(broken.json()).toMatchObject({ status: 400, code: 'recipe.syntax' });
  });

  it.each([
    ['broken JSON', { 'content-type': 'application/json' }, '{"a":', 400, 'request.malformed'],
    ['no body', { 'content-type': 'application/json' }, '', 400, 'request.malformed'],
    ['an unknown media type', { 'content-type': 'text/csv' }, 'a,b', 415, 'request.media-type'],
    [
      'a huge body',
      { 'content-type': 'application/json' },
      JSON.stringify({ a: 'x'.repeat(2 ** 20) }),
      413,
      'request.too-large',
    ],
    ['a text where JSON is due', { 'content-type': 'application/yaml' }, 'a: 1', 400, 'request.invalid'],
  ])('refuses %s', async (_, headers, payload, status, code) => {
    const app = await start(stubService());
    const response = await app.inject({ method: 'POST', url: '/v1/jobs', headers: { ...admin, ...headers }, payload });
    expect(response.json()).toMatchObject({ status, code });
  });

  it('maps kinds to statuses and tells nothing of an internal error', async () => {
    const app = await start(
      stubService({
        jobs: {
          get: (_, id) =>
            Promise.reject(
              id === 'gone'
                ? new ModelpressError('not-found', 'job.not-found', 'There is no job gone.', { id })
                : new Error('password=hunter2'),
            ),
        },
      }),
    );
    const gone = await app.inject({ url: '/v1/jobs/gone', headers: admin });
    expect(gone.json()).toMatchObject({ status: 404, code: 'job.not-found', details: { id: 'gone' } });
    const failed = await app.inject({ url: '/v1/jobs/x', headers: admin });
    expect(failed.statusCode).toBe(500);
    expect(failed.body).not.toContain('hunter2');
    expect(failed.json()).toMatchObject({ code: 'internal.unexpected', title: 'Internal error' });
  });

  it('takes verbs after a colon, too', async () => {
    const asked: string[] = [];
    const app = await start(
      stubService({
        jobs: {
          cancel: (_, id) => {
            asked.push(id);
            return Promise.reject(new ModelpressError('conflict', 'job.ended', 'It has ended.'));
          },
        },
      }),
    );
    for (const url of ['/v1/jobs/abc:cancel', '/v1/jobs/abc/cancel'])
      expect((await app.inject({ method: 'POST', url, headers: admin })).statusCode).toBe(409);
    expect(asked).toEqual(['abc', 'abc']);
    const dryRun = await app.inject({ method: 'POST', url: '/v1/jobs:dry-run', headers: admin, payload: {} });
    expect(dryRun.json()).toMatchObject({ status: 400, errors: [{ field: 'recipe' }] });
  });
});

describe('idempotency', () => {
  it('hands POSTs with a key to the service and says when an answer is repeated', async () => {
    const calls: unknown[][] = [];
    const answers = new Map<string, { status: number; body: unknown }>();
    const idempotency: Service['idempotency'] = {
      async once(projectId, key, fingerprint, work) {
        calls.push([projectId, key, fingerprint]);
        const before = answers.get(key);
        if (before) return { ...before, replayed: true };
        const answer = await work();
        answers.set(key, answer);
        return { ...answer, replayed: false };
      },
    };
    let made = 0;
    const recipes: Partial<Service['recipes']> = {
      create: async (_, document) => ({
        id: `r${++made}`,
        name: document.name,
        document,
        createdAt: new Date(),
        updatedAt: new Date(),
      }),
    };
    const app = await start(stubService({ idempotency, recipes }));
    const post = (payload: object, key = 'k1') =>
      app.inject({
        method: 'POST',
        url: '/v1/recipes',
        headers: { ...bearer(SECRETS.admin), 'idempotency-key': key },
        payload,
      });
    const recipe = { name: 'a', stages: [{ type: 'quantize' }] };
    const first = await post(recipe);
    const second = await post(recipe);
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect(second.json()).toEqual(first.json());
    expect([first.headers['idempotency-replayed'], second.headers['idempotency-replayed']]).toEqual([
      undefined,
      'true',
    ]);
    expect(calls[0]).toEqual(calls[1]);
    await post({ ...recipe, name: 'b' });
    expect(calls[2]?.[2]).not.toBe(calls[0]?.[2]);
    expect((await post(recipe, 'with space')).json()).toMatchObject({
      status: 400,
      errors: [{ field: 'Idempotency-Key' }],
    });
  });
});

describe('documentation', () => {
  it('is the checked-in openapi.json (npm run openapi writes it)', async () => {
    expect(await openApiText()).toBe(readFileSync(OPENAPI_FILE, 'utf8'));
  });

  it('resolves every reference and describes every answer', async () => {
    const document = openApiDocument(await start(stubService()));
    const text = JSON.stringify(document);
    const components = Object.keys(document.components?.schemas ?? {});
    const references = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name);
    expect(references.filter((name) => name === undefined || !components.includes(name))).toEqual([]);
    expect(components).toEqual(
      expect.arrayContaining(['Problem', 'JobDetail', 'Recipe', 'Report', 'Model', 'Dataset']),
    );
    expect(text).not.toContain('$defs');
  });

  it('is served without a key, as a page and as JSON', async () => {
    const app = await start(stubService());
    expect((await app.inject({ url: '/docs' })).headers['content-type']).toContain('text/html');
    expect((await app.inject({ url: '/openapi.json' })).json()).toMatchObject({ openapi: '3.1.0' });
  });
});
