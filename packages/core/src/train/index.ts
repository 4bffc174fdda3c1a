export { Budget } from './budget';
export type { Spent, TrainingLength } from './budget';
export { DropoutMasks } from './dropout-masks';
export { EarlyStopping } from './early-stopping';
export type { EarlyStoppingOptions } from './early-stopping';
export { trainLoop } from './loop';
export type {
  BatchSource,
  CurvePoint,
  EpochBatches,
  EvaluationOptions,
  TrainingProgress,
  TrainLoopOptions,
  TrainLoopResult,
} from './loop';
export { decayMatrices, optimizerSchema } from './optimizer';
export type { DecayRule, OptimizerConfig } from './optimizer';
export type { BackwardResult, BatchInputs } from './program';
export { Random, streamKey } from './random';
export type { RandomState } from './random';
export { scheduleFactor, scheduleSchema } from './schedule';
export type { ScheduleConfig } from './schedule';
export type { ParameterSlot } from './slabs';
export { Trainer } from './trainer';
export type { StepResult, TrainerHooks, TrainerOptions, TrainingBatch } from './trainer';
