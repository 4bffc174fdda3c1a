/** @file Stage types for tests: they write small text files and can be told to wait, fail, crash and resume. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelpressError, type Measurement, type StageContext, type StageDefinition } from '@modelpress/core';
import { z } from 'zod';

const base = {
  text: z.string().default(''),
  /** Steps of 20 ms; each one is kept as a checkpoint. */
  steps: z.int().min(0).default(0),
  /** What goes wrong in the first attempts, and in how many of them. */
  trouble: z.enum(['none', 'error', 'invalid', 'exit', 'kill', 'deaf']).default('none'),
  times: z.int().min(0).default(1),
  lane: z.enum(['cpu', 'gpu']).default('cpu'),
};
const workSchema = z.strictObject(base);
type WorkConfig = z.infer<typeof workSchema>;

const NO_RESULT = { measurements: [], sections: [], warnings: [] };

const measurement = (metric: string, value: number, subject: Measurement['subject']): Measurement => ({
  metric,
  value,
  unit: 'ratio',
  subject,
  context: { split: 'test' },
});

async function count(file: string): Promise<number> {
  const before = existsSync(file) ? Number(await readFile(file, 'utf8')) : 0;
  await writeFile(file, String(before + 1));
  return before + 1;
}

async function work(config: WorkConfig, context: StageContext): Promise<void> {
  const attempt = await count(join(context.checkpoints, 'attempts'));
  const stepFile = join(context.checkpoints, 'step');
  let step = existsSync(stepFile) ? Number(await readFile(stepFile, 'utf8')) : 0;
  context.log('info', `starts at step ${step}`, { attempt });
  if (attempt <= config.times) await trouble(config.trouble);
  for (; step < config.steps; step++) {
    if (context.signal.aborted) return;
    await sleep(20);
    // As every checkpoint: complete or not there, whenever the process is killed.
    await writeFile(`${stepFile}.new`, String(step + 1));
    await rename(`${stepFile}.new`, stepFile);
    context.progress({ fraction: (step + 1) / config.steps, phase: `step ${step + 1}` });
    context.metric('loss', step + 1, 1 / (step + 1));
  }
}

async function trouble(kind: WorkConfig['trouble']): Promise<void> {
  switch (kind) {
    case 'none':
      return;
    case 'error':
      throw new ModelpressError('unavailable', 'test.trouble', 'The test stage fails as told.');
    case 'invalid':
      throw new ModelpressError('invalid', 'test.invalid', 'The test stage refuses its input.', { field: 'text' });
    case 'exit':
      process.stderr.write('last words\n');
      process.exit(7);
      break;
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      await sleep(10_000);
      break;
    case 'deaf':
      // Native code that blocks the thread hears neither messages nor signals.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
  }
}

async function writeModel(folder: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'model.txt'), text);
  await writeFile(join(folder, 'shared.txt'), 'the same in every model');
}

const write: StageDefinition<WorkConfig> = {
  type: 'write',
  version: 1,
  queue: 'prune',
  summary: 'Makes a model from nothing.',
  schema: workSchema,
  needs: { model: false, datasets: [] },
  makesModel: true,
  lane: ({ lane }) => lane,
  run: async (config, context) => {
    await work(config, context);
    await writeModel(join(context.output, 'model'), config.text);
    return { ...NO_RESULT, model: join(context.output, 'model') };
  },
};

const append: StageDefinition<WorkConfig> = {
  type: 'append',
  version: 1,
  queue: 'distill',
  summary: 'Adds to a model.',
  schema: workSchema,
  needs: { model: true, datasets: [], optionalDatasets: ['data'] },
  makesModel: true,
  check: (config) =>
    config.text === 'refused' ? [{ path: 'text', code: 'refused', message: 'This text is refused.' }] : [],
  run: async (config, context) => {
    await work(config, context);
    const folder = join(context.output, 'model');
    await cp(context.model ?? '', folder, { recursive: true });
    const before = await readFile(join(folder, 'model.txt'), 'utf8').catch(() => '');
    await writeModel(folder, `${before}${config.text}`);
    return { ...NO_RESULT, model: folder, warnings: config.text === '' ? ['Nothing was added.'] : [] };
  },
};

const learn: StageDefinition<WorkConfig> = {
  type: 'learn',
  version: 1,
  queue: 'distill',
  summary: 'Adds what the teachers know to a model.',
  schema: workSchema,
  needs: { model: true, teachers: true, datasets: [] },
  makesModel: true,
  run: async (config, context) => {
    await work(config, context);
    const known = [context.model ?? '', ...(context.teachers ?? [])];
    const texts = await Promise.all(known.map((folder) => readFile(join(folder, 'model.txt'), 'utf8')));
    await writeModel(join(context.output, 'model'), texts.join('+'));
    return { ...NO_RESULT, model: join(context.output, 'model') };
  },
};

const measureSchema = z.strictObject({ ...base, accuracy: z.number().default(0.9) });

const measure: StageDefinition<z.infer<typeof measureSchema>> = {
  type: 'measure',
  version: 1,
  queue: 'bench',
  summary: 'Measures a model.',
  schema: measureSchema,
  needs: { model: true, baseline: true, datasets: ['data'] },
  makesModel: false,
  measures: () => ({ quality: true, bytes: true }),
  run: async (config, context) => {
    await work(config, context);
    const original = await readFile(join(context.baseline ?? '', 'model.txt'), 'utf8').catch(() => '');
    return {
      ...NO_RESULT,
      measurements: [
        measurement('accuracy', config.accuracy, 'candidate'),
        measurement('accuracy', 0.95, 'baseline'),
        measurement('bytes.model', 100, 'candidate'),
        measurement('bytes.model', original.length, 'baseline'),
      ],
    };
  },
};

export const STAGES: Readonly<Record<string, StageDefinition>> = { write, append, learn, measure };
