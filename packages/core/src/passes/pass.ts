/** @file The contract of a graph pass. */
import type { Model } from '../graph';

/** Rewrites a model in place and says whether anything changed. The model computes the same as before. */
export type Pass = (model: Model) => PassResult;

export interface PassResult {
  readonly modified: boolean;
}

/** One pass after the other. */
export const sequence =
  (...passes: readonly Pass[]): Pass =>
  (model) => {
    const results = passes.map((pass) => pass(model));
    return { modified: results.some(({ modified }) => modified) };
  };
