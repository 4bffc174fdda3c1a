/** @file Two thin matrices in the place of one. */
export { factorizeSchema } from './config';
export type { FactorizeConfig, RankBudget } from './config';
export { breakEvenRank, decompose, keptEnergy, lowRank, momentSide } from './low-rank';
export type { Decomposition, LowRank, Matrix, SecondMoment } from './low-rank';
export { collectMoments } from './moments';
export { factorizeBundle } from './run';
export type { FactorizedWeight, FactorizeResult } from './run';
