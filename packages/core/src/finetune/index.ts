export { finetuneSchema, scratchSchema, trainingSchema } from './config';
export type { FinetuneConfig, MethodConfig, ScratchConfig, TrainingConfig } from './config';
export { finetune } from './finetune';
export type { FinetuneResult } from './finetune';
export { taskLoss } from './loss';
export type { TaskLoss } from './loss';
export { trainOn } from './train-on';
export type { TrainingContext, TrainingOutcome, TrainingRunOptions } from './train-on';
