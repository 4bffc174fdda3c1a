/** @file The built command, from a recipe to a report, on an embedded stack of its own. Run `npm run build` first. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Job, JobReport } from '@modelpress/client';
import { createTransformer, readBundle, transformerConfig, writeBundle } from '@modelpress/core';
import { generateSupportBot, writeSupportBot } from '@modelpress/examples';

const BIN = join(__dirname, '..', 'bin', 'modelpress.cjs');
const STACK_MS = 120_000;

const folder = mkdtempSync(join(tmpdir(), 'modelpress-cli-'));
const path = (name: string): string => join(folder, name);

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command to its end on this test's folder. */
function modelpress(...args: string[]): Promise<Outcome> {
  const env = { ...process.env, MODELPRESS_HOME: path('home'), MODELPRESS_URL: '', MODELPRESS_API_KEY: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args], { env, maxBuffer: 2 ** 26 }, (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, out, err });
    });
  });
}

/** A classifier of the example's labels with fresh weights. */
async function writeModel(): Promise<void> {
  const rows = generateSupportBot({ rows: 200 }).train;
  const words = new Set(rows.flatMap(({ text }) => text.toLowerCase().match(/[a-z]+|[^a-z\s]/g) ?? []));
  const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...words];
  const config = transformerConfig('bert', {
    layers: 2,
    hidden: 64,
    heads: 2,
    vocabulary: vocabulary.length,
    maxLength: 64,
  });
  const bundle = createTransformer(config, {
    task: 'classification',
    labels: [...new Set(rows.map(({ label }) => label))].sort(),
    seed: 1,
    name: 'fresh',
    tokenizer: { kind: 'wordpiece', padId: 0 },
    tokenizerFiles: new Map([['vocab.txt', Buffer.from(`${vocabulary.join('\n')}\n`)]]),
  });
  await writeBundle(path('model'), bundle);
}

const RECIPE = `
name: main job
stages:
  - type: quantize
    config: { form: matmul-integer }
  - type: evaluate
  - type: benchmark
    config: { batches: [1, 4], sequences: [16], seconds: 0.2 }
`;

beforeAll(async () => {
  writeSupportBot(path('data'), { rows: 200 });
  writeFileSync(path('recipe.yaml'), RECIPE);
  writeFileSync(path('ambitious.yaml'), `${RECIPE}goals: { minSpeedup: 1000, maxDrop: { absolute: 0.1 } }\n`);
  writeFileSync(
    path('sweep.yaml'),
    'name: swept\nstages: [{ type: quantize }]\nsweep: { quantize.config.form: [matmul-integer, dynamic-quantize-matmul] }\n',
  );
  writeFileSync(path('wrong.yaml'), 'name: wrong\nstages:\n  - type: quantize\n    config: { bits: 3 }\n');
  await writeModel();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('ends well when nobody reads its output any more', async () => {
  const child = spawn(process.execPath, [BIN, 'run', '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const said: string[] = [];
  child.stderr.on('data', (chunk) => said.push(String(chunk)));
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect([code, said.join('')]).toEqual([0, '']);
});

const inputs = (): string[] => ['--model', path('model'), '--data', path('data')];
const reportOf = (file: string): JobReport => JSON.parse(readFileSync(path(file), 'utf8')) as JobReport;

describe('modelpress', () => {
  it(
    'runs a recipe on a stack of its own, from files to a report',
    async () => {
      const { code, out, err } = await modelpress(
        'run',
        path('recipe.yaml'),
        ...inputs(),
        '--json',
        path('first.json'),
        '--output',
        path('smaller'),
      );
      expect({ code, err }).toMatchObject({ code: 0 });
      expect((await readBundle(path('smaller'))).manifest.inputs).toContain('input_ids');
      expect(statSync(path('smaller/model.onnx')).size).toBeLessThan(statSync(path('model/model.onnx')).size);
      expect(out).toMatch(/^main job \(succeeded\)/);
      expect(out).toMatch(/Size on disk +\S+ \S+ +\S+ \S+ +−\d+\.\d %/);
      expect(err).toContain('benchmark: succeeded');
      const [variant] = reportOf('first.json').variants;
      expect(variant?.report.stages.map(({ id, state, reused }) => [id, state, reused])).toEqual([
        ['quantize', 'succeeded', false],
        ['evaluate', 'succeeded', false],
        ['benchmark', 'succeeded', false],
      ]);
      const figure = (metric: string) => variant?.report.comparisons.find((comparison) => comparison.metric === metric);
      const { baseline, candidate } = figure('bytes.model') ?? {};
      expect((candidate ?? 1) / (baseline ?? 1)).toBeLessThan(0.4);
      expect(figure('accuracy')?.baseline).toBeDefined();
      expect(figure('latency.p50')?.candidate).toBeGreaterThan(0);
      expect(existsSync(path('home/server.json'))).toBe(false);
    },
    STACK_MS,
  );

  describe('with a running stack', () => {
    let up: ChildProcess;
    let printed = '';

    beforeAll(async () => {
      const env = { ...process.env, MODELPRESS_HOME: path('home') };
      up = spawn(process.execPath, [BIN, 'up', '--port', '0'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
      await new Promise<void>((resolve, reject) => {
        up.stdout?.on('data', (chunk: Buffer) => {
          printed += String(chunk);
          if (printed.includes('Ctrl-C')) resolve();
        });
        up.once('exit', () => reject(new Error('the stack ended')));
      });
    }, STACK_MS);

    afterAll(() => up.kill('SIGKILL'));

    it('keeps its data, reuses equal work, and ends with 3 when a goal is missed', async () => {
      const jobs = JSON.parse((await modelpress('jobs', '--json')).out) as Job[];
      expect(jobs.map(({ name, state }) => [name, state])).toEqual([['main job', 'succeeded']]);
      const ambitious = ['run', path('ambitious.yaml'), ...inputs(), '--json', path('second.json')];
      const { code, out, err } = await modelpress(...ambitious);
      expect(code).toBe(3);
      expect(err).toMatch(/The same command with --output DIR saves the model; nothing is computed again\.\n$/);
      expect(out).toMatch(/^missed +At least 1000\.00× the speed/m);
      expect(out).toMatch(/^met +Accuracy drops by at most 10\.00 points/m);
      const { goalsReached, variants } = reportOf('second.json');
      expect(goalsReached).toBe(false);
      expect(variants[0]?.report.stages.map(({ reused }) => reused)).toEqual([true, true, true]);
    });

    it('submits, watches, reports and lists', async () => {
      const { out: id } = await modelpress('submit', path('recipe.yaml'), ...inputs(), '--name', 'in the background');
      expect((await modelpress('watch', id.trim())).code).toBe(0);
      const { code } = await modelpress(
        'report',
        id.trim(),
        '--html',
        path('report.html'),
        '--output',
        path('model.tar'),
      );
      expect(code).toBe(0);
      expect(readFileSync(path('report.html'), 'utf8')).toContain('in the background');
      expect(readFileSync(path('model.tar')).includes('model.onnx')).toBe(true);
      const list = await modelpress('jobs', '--state', 'succeeded');
      expect(list.out.split('\n')[1]).toMatch(new RegExp(`^${id.trim()}  in the background  succeeded`));
    });

    it('gives each variant of a sweep a folder, and neither mixes models nor overwrites them', async () => {
      const swept = await modelpress('run', path('sweep.yaml'), ...inputs(), '--output', path('variants'));
      expect(swept.code).toBe(0);
      expect(readdirSync(path('variants'))).toEqual(['0', '1']);
      const [first, second] = ['0', '1'].map((number) => readFileSync(path(`variants/${number}/model.onnx`)));
      expect(Buffer.compare(first, second)).not.toBe(0);

      const [job] = JSON.parse((await modelpress('jobs', '--json')).out) as [Job];
      const tar = await modelpress('report', job.id, '--output', path('variants.tar'));
      expect(tar).toMatchObject({ code: 2, err: expect.stringContaining('has 2 variants') as string });
      const again = await modelpress('run', path('sweep.yaml'), ...inputs(), '--output', path('variants'));
      expect(again).toMatchObject({
        code: 2,
        err: `The folder ${path('variants')} is not empty; name a new folder.\n`,
      });
    });

    it('imports and dry-runs without queueing anything', async () => {
      const { out: model } = await modelpress('import', path('model'));
      const { out: data } = await modelpress('import', path('data'), '--as', 'dataset');
      const flags = ['--model', model.trim(), '--data', data.trim(), '--dry-run'];
      const { variants } = JSON.parse((await modelpress('submit', path('recipe.yaml'), ...flags)).out) as {
        variants: readonly { stages: readonly { type: string; existing: string }[] }[];
      };
      expect(variants[0]?.stages.map(({ type, existing }) => [type, existing])).toEqual([
        ['quantize', 'succeeded'],
        ['evaluate', 'succeeded'],
        ['benchmark', 'succeeded'],
      ]);
      expect((JSON.parse((await modelpress('jobs', '--json')).out) as Job[]).map(({ name }) => name)).toHaveLength(4);
    });

    it('refuses what is wrong with 2, naming the field', async () => {
      const wrong = await modelpress('submit', path('wrong.yaml'), ...inputs());
      expect(wrong.code).toBe(2);
      expect(wrong.err).toContain('stages[0].config.bits');
      const absent = await modelpress('run', path('recipe.yaml'), '--model', path('absent.onnx'));
      expect(absent).toMatchObject({ code: 2, err: `There is no file or folder ${path('absent.onnx')}.\n` });
      const unknown = await modelpress('report', '00000000-0000-7000-8000-000000000000');
      expect(unknown.code).toBe(2);
      const [job] = JSON.parse((await modelpress('jobs', '--json')).out) as [Job];
      const late = await modelpress('cancel', job.id);
      expect(late.code).toBe(1);
    });

    it('does not start a second stack on the same folder', async () => {
      const second = await modelpress('up', '--port', '0');
      expect(second.code).toBe(1);
      expect(second.err).toContain('runs already');
    });

    it('says who runs it while it runs, and ends in order on Ctrl-C', async () => {
      const { pid } = JSON.parse(readFileSync(path('home/server.json'), 'utf8')) as { pid: number };
      expect(pid).toBe(up.pid);
      const ended = new Promise((resolve) => up.once('exit', resolve));
      up.kill('SIGINT');
      expect(await ended).toBe(0);
      expect(existsSync(path('home/server.json'))).toBe(false);
    });
  });
});
