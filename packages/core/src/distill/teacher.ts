/** @file A teacher's logits for every row of a split: computed once, kept beside the checkpoints and, by digest, between runs. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODEL_FILE } from '../bundle';
import type { Manifest } from '../bundle';
import { throwIfAborted } from '../errors';
import type { TrainingContext } from '../finetune/train-on';
import type { Precision } from '../runtime';
import type { Batches } from '../text';
import { trainingEngine } from '../train/precision';
import { LogitCache } from './logit-cache';
import { LogitWriter, openLogits } from './logit-file';
import type { TeacherLogits } from './soft-targets';

/** Where other stage runs find the logits, and under which name. */
export interface SharedLogits {
  readonly folder: string;
  readonly key: () => Promise<string>;
}

type Context = Pick<TrainingContext, 'checkpoints' | 'threads' | 'signal' | 'progress'> & {
  /** What the teacher is asked to compute in. */
  readonly precision: Precision;
};

/**
 * Runs a bundle's model over token rows that it can read. Memory does not grow with the rows: logits go to a file in the checkpoints folder,
 * where a further attempt of the stage finds them, and to the cache, where other stage runs do.
 */
export async function teacherLogits(
  folder: string,
  manifest: Pick<Manifest, 'output'>,
  batches: Batches,
  context: Context,
  shared?: SharedLogits,
): Promise<TeacherLogits> {
  const { checkpoints } = context;
  mkdirSync(checkpoints, { recursive: true });
  const path = join(checkpoints, 'teacher.f32');
  const done = join(checkpoints, 'teacher.json');
  if (!existsSync(done)) {
    const compute = (): Promise<void> => computeLogits(folder, manifest, batches, path, context);
    if (shared) await new LogitCache(shared.folder).fetchOr(await shared.key(), path, compute);
    else await compute();
    const classes = statSync(path).size / (4 * batches.source.rows);
    writeFileSync(`${done}.new`, JSON.stringify({ classes }));
    renameSync(`${done}.new`, done);
  }
  const { classes } = JSON.parse(readFileSync(done, 'utf8')) as { classes: number };
  return openLogits(path, classes);
}

async function computeLogits(
  folder: string,
  { output }: Pick<Manifest, 'output'>,
  batches: Batches,
  path: string,
  { threads, signal, progress, precision: asked }: Context,
): Promise<void> {
  // It may be another name for a file that other runs read.
  rmSync(path, { force: true });
  const { runtime, precision } = trainingEngine(asked);
  const executable = await runtime.compile({ path: join(folder, MODEL_FILE) }, { threads, precision });
  let writer: LogitWriter | undefined;
  try {
    const epoch = batches.epoch(0);
    for (let i = 0; i < epoch.count; i++) {
      // The engine blocks this thread: give cancellation and progress messages a turn.
      await new Promise(setImmediate);
      throwIfAborted(signal);
      const { inputs, rows } = epoch.batch(i);
      const { dims, data } = (await executable.run(inputs))[output];
      const classes = dims[1];
      writer ??= new LogitWriter(path, classes);
      for (const [r, row] of rows.entries()) {
        writer.write(row, (data as Float32Array).subarray(r * classes, (r + 1) * classes));
      }
      progress({ fraction: (i + 1) / epoch.count, phase: `teacher: batch ${i + 1}/${epoch.count}` });
    }
  } finally {
    writer?.close();
    await executable.release();
  }
}
