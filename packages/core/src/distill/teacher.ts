/** @file A teacher's logits for every row of a split, computed once. */
import { join } from 'node:path';
import { MODEL_FILE } from '../bundle';
import type { Manifest } from '../bundle';
import { throwIfAborted } from '../errors';
import { ortRuntime } from '../runtime';
import type { Batches } from '../text';
import type { TrainingContext } from '../finetune/train-on';
import type { TeacherLogits } from './soft-targets';

/** Runs a bundle's model over token rows that it can read itself (the same tokenizer and inputs). */
export async function teacherLogits(
  folder: string,
  { output }: Pick<Manifest, 'output'>,
  batches: Batches,
  { threads, signal, progress }: Pick<TrainingContext, 'threads' | 'signal' | 'progress'>,
): Promise<TeacherLogits> {
  const executable = await ortRuntime.compile({ path: join(folder, MODEL_FILE) }, { threads });
  try {
    const epoch = batches.epoch(0);
    let logits = new Float32Array(0);
    let classes = 0;
    for (let i = 0; i < epoch.count; i++) {
      throwIfAborted(signal);
      const { inputs, rows } = epoch.batch(i);
      const { dims, data } = (await executable.run(inputs))[output];
      if (classes === 0) {
        classes = dims[1];
        logits = new Float32Array(batches.source.rows * classes);
      }
      rows.forEach((row, r) =>
        logits.set((data as Float32Array).subarray(r * classes, (r + 1) * classes), row * classes),
      );
      progress({ fraction: 0, phase: `teacher: batch ${i + 1}/${epoch.count}` });
    }
    return { logits, classes };
  } finally {
    await executable.release();
  }
}
