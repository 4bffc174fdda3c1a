/** How sparsity grows from `initial` to `target` between two steps. */
export type SparsityShape = 'one-shot' | 'linear' | 'cubic';

export interface SparsitySchedule {
  readonly shape: SparsityShape;
  readonly initial: number;
  readonly target: number;
  /** Step of the first pruning (steps count from 0). */
  readonly firstStep: number;
  /** Step at which the target is reached. */
  readonly lastStep: number;
}

/**
 * Sparsity that the masks must have at `step`.
 *
 * cubic: s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (t_1 - t_0))^3  (Zhu & Gupta 2018, "To prune, or not to prune", eq. 1):
 * fast while there is redundancy, slow towards the end. one-shot jumps to the target at `firstStep`.
 */
export function sparsityAt(schedule: SparsitySchedule, step: number): number {
  const { shape, initial, target, firstStep, lastStep } = schedule;
  if (step < firstStep) return initial;
  if (step >= lastStep || shape === 'one-shot') return target;
  const left = 1 - (step - firstStep) / (lastStep - firstStep);
  return target + (initial - target) * (shape === 'cubic' ? left ** 3 : left);
}

/**
 * Steps at which masks are recomputed: `perEpoch` evenly spaced steps in each epoch of the pruning phase, the last of
 * them at `lastStep`. A one-shot schedule prunes once.
 */
export function pruningSteps(schedule: SparsitySchedule, stepsPerEpoch: number, perEpoch: number): number[] {
  const { shape, firstStep, lastStep } = schedule;
  if (shape === 'one-shot' || lastStep <= firstStep) return [firstStep];
  const count = Math.max(1, Math.round(((lastStep - firstStep) / stepsPerEpoch) * perEpoch));
  const steps = Array.from(
    { length: count },
    (_, i) => firstStep + Math.round(((i + 1) * (lastStep - firstStep)) / count),
  );
  return [...new Set(steps)];
}
