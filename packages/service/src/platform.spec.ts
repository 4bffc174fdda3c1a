import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipeSchema } from '@modelpress/core';
import { hasRedis, openTestStack, startTestRedis, startTestS3 } from './testing';

/** Without its server it is shown as skipped. */
const describeWithRedis = hasRedis() ? describe : describe.skip;

describeWithRedis('Redis and S3', () => {
  it('run the same job by configuration alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-s3-'));
    const [redis, s3] = await Promise.all([startTestRedis(), startTestS3(folder)]);
    const stack = await openTestStack({
      MODELPRESS_QUEUE: 'redis',
      MODELPRESS_REDIS_URL: redis.url,
      MODELPRESS_OBJECTS: 's3',
      MODELPRESS_S3_BUCKET: s3.bucket,
      MODELPRESS_S3_ENDPOINT: s3.endpoint,
      MODELPRESS_S3_ACCESS_KEY_ID: s3.accessKeyId,
      MODELPRESS_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      MODELPRESS_S3_PATH_STYLE: 'true',
    });
    try {
      await stack.startWorkers(['prune', 'distill']);
      const stages = [
        { type: 'write', config: { text: 'on Redis ' } },
        { type: 'append', config: { text: 'and S3', trouble: 'error' } },
      ];
      const recipe = recipeSchema.parse({ name: 'remote', stages });
      const job = await stack.service.jobs.submit(stack.projectId, { recipe, datasets: {} });
      const done = await stack.jobEnd(job.id);
      expect(done).toMatchObject({ state: 'succeeded', error: null });
      const run = await stack.service.runs.get(stack.projectId, done.stages[1]?.runId ?? '');
      const link = await stack.service.artifacts.presign(stack.projectId, run.outputId ?? '', 'model.txt');
      expect(await (await fetch(link ?? '')).text()).toBe('on Redis and S3');
      expect(await stack.service.readiness()).toMatchObject({ ready: true });
      await s3.stop();
      const { ready, checks } = await stack.service.readiness();
      expect({ ready, objects: checks.objects.ok, queue: checks.queue.ok }).toEqual({
        ready: false,
        objects: false,
        queue: true,
      });
    } finally {
      await stack.close();
      await redis.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('readiness', () => {
  it('says which part does not answer, and keeps addresses to itself', async () => {
    const stack = await openTestStack();
    expect(await stack.service.readiness()).toMatchObject({ ready: true });
    await rm(stack.config.home, { recursive: true, force: true });
    const { ready, checks } = await stack.service.readiness();
    expect(ready).toBe(false);
    expect(checks.objects).toEqual({ ok: false, message: 'does not answer' });
    expect(checks.database.ok).toBe(true);
    await stack.close();
  });

  it('comes with figures for Prometheus', async () => {
    const stack = await openTestStack();
    const recipe = recipeSchema.parse({ name: 'metrics', stages: [{ type: 'write' }] });
    await stack.service.jobs.submit(stack.projectId, { recipe, datasets: {} });
    expect(await stack.service.metrics()).toContain('modelpress_runs{queue="prune",lane="cpu",state="queued"} 1');
    await stack.close();
  });
});
