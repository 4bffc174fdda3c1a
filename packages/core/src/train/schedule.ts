/** @file Learning rate by step. */
import { z } from 'zod';

export const scheduleSchema = z.strictObject({
  shape: z
    .enum(['constant', 'linear', 'cosine'])
    .default('linear')
    .describe('How the learning rate goes from its peak to `end` after the warm-up.'),
  warmup: z
    .union([
      z.strictObject({ ratio: z.number().min(0).max(1) }).describe('As a share of all steps.'),
      z.strictObject({ steps: z.int().min(0) }).describe('As a number of steps.'),
    ])
    .default({ ratio: 0.1 })
    .describe('Steps during which the learning rate rises linearly from 0.'),
  end: z.number().min(0).max(1).default(0).describe('Learning rate of the last step, as a share of the peak.'),
});
export type ScheduleConfig = z.infer<typeof scheduleSchema>;

/** Number of warm-up steps in a run of `totalSteps`, rounded up as Transformers does. */
export const warmupSteps = ({ warmup }: ScheduleConfig, totalSteps: number): number =>
  'steps' in warmup ? warmup.steps : Math.ceil(warmup.ratio * totalSteps);

/**
 * Factor on the peak learning rate in step `step` (counted from 1). With warm-up W and T steps in all, step s <= W gets
 * (s - 1) / W, the rest fall from 1 towards `end` over T - W steps; PyTorch's LambdaLR counts the same way, so the first
 * step of a warm-up has rate 0.
 */
export function scheduleFactor(config: ScheduleConfig, step: number, totalSteps: number): number {
  const warmup = warmupSteps(config, totalSteps);
  const done = step - 1;
  if (done < warmup) return done / warmup;
  const progress = Math.min(1, (done - warmup) / Math.max(1, totalSteps - warmup));
  return config.end + (1 - config.end) * DECAY[config.shape](progress);
}

/** From 1 at progress 0 to 0 at progress 1, except `constant`. */
const DECAY: Readonly<Record<ScheduleConfig['shape'], (progress: number) => number>> = {
  constant: () => 1,
  linear: (progress) => 1 - progress,
  cosine: (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)),
};
