/** @file How much each part of a model suffers from compression, and what to leave alone. */
export { allotShares } from './allot';
export type { Harm } from './allot';
export { choiceSchema, nameOf } from './choices';
export type { Choice } from './choices';
export { rankingOf, readSensitivity, SENSITIVITY_FILE, sensitivitySchema, worstWeights } from './effects';
export type { Effect, Sensitivity } from './effects';
export { searchFallback } from './fallback';
export type { FallbackOptions, FallbackResult, Outcome, Trial } from './fallback';
export { cellGroups, changedWeights, componentGroups, layerGroups } from './groups';
export type { WeightGroup } from './groups';
export { canJudge, Judge } from './judge';
export type { Judgement, JudgeOptions } from './judge';
