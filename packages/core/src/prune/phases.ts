/** @file When a run prunes: the pruning phase, its steps, and recovery. */
import { importanceOf, isTrained } from './config';
import type { PruneConfig } from './config';
import { pruningSteps, sparsityAt } from './schedule';
import type { SparsitySchedule } from './schedule';

/** Steps that importance is measured on at least; at learning rate 0 when nothing is trained. */
const CALIBRATION_STEPS = 20;

export interface PruningPhases {
  /** Share of the final removal that is due after a step, 0..1; undefined when masks stay as they are. */
  dueAfter(step: number): number | undefined;
  /** Whether a step is one of the pruning steps of the settings. */
  prunesAfter(step: number): boolean;
  /** Whether importance measured in this step is still of use. */
  measures(step: number): boolean;
  /** Whether the target has been reached after this step. */
  isComplete(step: number): boolean;
  /** Where recovery begins, in epochs. */
  readonly recoveryFrom: number;
}

/**
 * Phases of a run of `stepsPerEpoch`; steps are counted from 1.
 *
 * Masks of trained scores are renewed after every step of the pruning phase, as in their papers: between renewals the
 * straight-through gradient of a masked weight calls for it again and again, and all that it called for comes at once.
 * With ten renewals an epoch movement pruning ended at the largest class (docs/pruning.md).
 */
export function pruningPhases(config: PruneConfig, stepsPerEpoch: number): PruningPhases {
  const firstStep = config.epochs === 0 ? 0 : Math.round(config.warmupEpochs * stepsPerEpoch);
  const length = config.epochs === 0 ? CALIBRATION_STEPS : Math.round(config.pruningEpochs * stepsPerEpoch);
  const lastStep = firstStep + Math.max(1, length);
  const oneShot = config.shape === 'one-shot' || config.epochs === 0;
  const schedule: SparsitySchedule = {
    shape: oneShot ? 'one-shot' : config.shape,
    initial: 0,
    target: 1,
    firstStep,
    lastStep,
  };
  const pruning = new Set(oneShot ? [lastStep] : pruningSteps(schedule, stepsPerEpoch, config.stepsPerEpoch));
  const always = !oneShot && isTrained(importanceOf(config));
  const renews = (step: number): boolean => (always && step > firstStep && step <= lastStep) || pruning.has(step);
  // Importance of the warm-up is that of other weights.
  const measuredFrom = Math.min(firstStep, lastStep - CALIBRATION_STEPS);
  return {
    dueAfter: (step) => (renews(step) ? (step >= lastStep ? 1 : sparsityAt(schedule, step)) : undefined),
    prunesAfter: (step) => pruning.has(step),
    measures: (step) => step > measuredFrom && step <= lastStep,
    isComplete: (step) => step >= lastStep,
    recoveryFrom: lastStep / stepsPerEpoch,
  };
}

/** The training settings of a run; without epochs, a few steps that change nothing but let importance be measured. */
export function effectiveTraining(config: PruneConfig, stepsPerEpoch: number): PruneConfig {
  if (config.epochs > 0) return config;
  return {
    ...config,
    epochs: CALIBRATION_STEPS / stepsPerEpoch,
    dropout: 0,
    optimizer: { ...config.optimizer, learningRate: 0 },
    keepBest: false,
  };
}
