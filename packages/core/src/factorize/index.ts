/** @file Two thin matrices in the place of one. */
export { breakEvenRank, decompose, keptEnergy, lowRank, momentSide } from './low-rank';
export type { Decomposition, LowRank, Matrix, SecondMoment } from './low-rank';
