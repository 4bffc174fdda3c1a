/** @file A teacher's logits for every row of a split: computed once, kept beside the checkpoints. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODEL_FILE } from '../bundle';
import type { Manifest } from '../bundle';
import { throwIfAborted } from '../errors';
import type { TrainingContext } from '../finetune/train-on';
import { ortRuntime } from '../runtime';
import type { Batches } from '../text';
import { LogitWriter, openLogits } from './logit-file';
import type { TeacherLogits } from './soft-targets';

/**
 * Runs a bundle's model over token rows that it can read. Memory does not grow with the rows: logits go to a file in
 * the checkpoints folder, where a further attempt of the stage finds them.
 */
export async function teacherLogits(
  folder: string,
  { output }: Pick<Manifest, 'output'>,
  batches: Batches,
  { checkpoints, threads, signal, progress }: Pick<TrainingContext, 'checkpoints' | 'threads' | 'signal' | 'progress'>,
): Promise<TeacherLogits> {
  mkdirSync(checkpoints, { recursive: true });
  const path = join(checkpoints, 'teacher.f32');
  const done = join(checkpoints, 'teacher.json');
  if (existsSync(done)) {
    const { classes } = JSON.parse(readFileSync(done, 'utf8')) as { classes: number };
    return openLogits(path, classes);
  }
  const executable = await ortRuntime.compile({ path: join(folder, MODEL_FILE) }, { threads });
  let writer: LogitWriter | undefined;
  let classes = 0;
  try {
    const epoch = batches.epoch(0);
    for (let i = 0; i < epoch.count; i++) {
      // The engine blocks this thread: give cancellation and progress messages a turn.
      await new Promise(setImmediate);
      throwIfAborted(signal);
      const { inputs, rows } = epoch.batch(i);
      const { dims, data } = (await executable.run(inputs))[output];
      classes = dims[1];
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
  writeFileSync(`${done}.new`, JSON.stringify({ classes }));
  renameSync(`${done}.new`, done);
  return openLogits(path, classes);
}
