import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Progress } from '@modelpress/core';
import { TEST_STAGES_MODULE } from '../testing';
import { fromChildSchema, toChildSchema } from './messages';
import { runInChild, type RunnerListener, type RunnerLogLine } from './runner';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'modelpress-runner-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

class Heard implements RunnerListener {
  readonly lines: RunnerLogLine[] = [];
  readonly seen: Progress[] = [];
  readonly points: [string, number, number][] = [];
  peak = 0;

  progress(progress: Progress): void {
    this.seen.push(progress);
  }
  log(line: RunnerLogLine): void {
    this.lines.push(line);
  }
  metric(name: string, step: number, value: number): void {
    this.points.push([name, step, value]);
  }
  memory(_bytes: number, peakBytes: number): void {
    this.peak = peakBytes;
  }
}

let runs = 0;
const run = (
  config: object,
  { heard = new Heard(), signal = new AbortController().signal, type = 'write', timeoutMs = 30_000 } = {},
) => {
  const place = join(folder, String((runs += 1)));
  return runInChild(
    {
      stagesModule: TEST_STAGES_MODULE,
      type,
      config,
      model: null,
      baseline: null,
      datasets: {},
      output: join(place, 'output'),
      checkpoints: join(place, 'checkpoints'),
      seed: 1,
      threads: 1,
    },
    heard,
    signal,
    { stopGraceMs: 500, timeoutMs },
  );
};

describe('a stage in a child process', () => {
  it('reports progress, curves, log lines and memory, and gives its result', async () => {
    const heard = new Heard();
    const result = await run({ text: 'x', steps: 3 }, { heard });
    expect(result.model).toMatch(/output\/model$/);
    expect(heard.seen.at(-1)).toEqual({ fraction: 1, phase: 'step 3' });
    expect(heard.points).toEqual([
      ['loss', 1, 1],
      ['loss', 2, 0.5],
      ['loss', 3, 1 / 3],
    ]);
    expect(heard.lines.map(({ message }) => message)).toEqual(['starts at step 0']);
    expect(heard.peak).toBeGreaterThan(10_000_000);
  });

  it('passes its error on with code and field', async () => {
    await expect(run({ trouble: 'invalid' })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'test.invalid',
      details: { field: 'text' },
    });
  });

  it('is refused when nobody knows its type', async () => {
    await expect(run({}, { type: 'unknown' })).rejects.toMatchObject({ code: 'runner.stage' });
  });

  it('may die without harm, and its last words are kept', async () => {
    const heard = new Heard();
    await expect(run({ trouble: 'exit' }, { heard })).rejects.toMatchObject({
      code: 'runner.crashed',
      message: "The stage's process died: it ended with code 7.",
      details: { code: 7, lastLines: ['last words'] },
    });
    expect(heard.lines.map(({ message }) => message)).toContain('last words');
  });

  it('says which signal ended it', async () => {
    await expect(run({ trouble: 'kill' })).rejects.toMatchObject({
      code: 'runner.crashed',
      details: { signal: 'SIGKILL' },
      message: expect.stringContaining('memory runs out'),
    });
  });

  it('ends when it is asked to', async () => {
    const abort = new AbortController();
    const heard = new Heard();
    heard.progress = () => abort.abort();
    await expect(run({ steps: 10_000 }, { heard, signal: abort.signal })).rejects.toMatchObject({ kind: 'cancelled' });
  });

  it('is killed when it does not listen', async () => {
    const abort = new AbortController();
    const heard = new Heard();
    heard.log = () => abort.abort();
    await expect(run({ trouble: 'deaf' }, { heard, signal: abort.signal })).rejects.toMatchObject({
      kind: 'cancelled',
    });
  });

  it('is not started when it is cancelled before', async () => {
    const before = runs;
    await expect(run({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: 'cancelled' });
    expect(runs).toBe(before + 1);
  });

  it('may not run for ever', async () => {
    await expect(run({ steps: 10_000 }, { timeoutMs: 1500 })).rejects.toMatchObject({
      kind: 'limit',
      code: 'runner.timeout',
    });
  });
});

describe('the messages', () => {
  it.each([
    { kind: 'progress', progress: { fraction: 2, phase: 'x' } },
    { kind: 'result', result: { measurements: 'none' } },
    { kind: 'shout' },
    null,
  ])('from a child are refused when they are not of the protocol: %j', (message) => {
    expect(fromChildSchema.safeParse(message).success).toBe(false);
  });

  it.each([{ kind: 'start' }, { kind: 'stop' }, 'abort'])('to a child likewise: %j', (message) => {
    expect(toChildSchema.safeParse(message).success).toBe(false);
  });
});
