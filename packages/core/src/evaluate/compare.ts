/** @file Whether two models differ by more than chance, on the same rows. */
import { bootstrap, quantile } from './bootstrap';
import type { BootstrapOptions } from './bootstrap';

/** McNemar's test of two classifiers. */
export interface McNemar {
  /** Rows that only the first, only the second classifies correctly. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** Two-sided exact probability of a difference this large if both were equally good. */
  readonly pValue: number;
}

/**
 * McNemar's exact test (1947): of the n rows on which exactly one model is right, either model has n/2 if they are
 * equally good, binomially distributed.
 */
export function mcNemar(firstCorrect: ArrayLike<boolean>, secondCorrect: ArrayLike<boolean>): McNemar {
  let onlyFirst = 0;
  let onlySecond = 0;
  for (let i = 0; i < firstCorrect.length; i++) {
    if (firstCorrect[i] && !secondCorrect[i]) onlyFirst++;
    if (!firstCorrect[i] && secondCorrect[i]) onlySecond++;
  }
  const n = onlyFirst + onlySecond;
  const tail = binomialTail(Math.min(onlyFirst, onlySecond), n);
  return { onlyFirst, onlySecond, pValue: Math.min(1, 2 * tail) };
}

/** P(X <= k) for X ~ Binomial(n, 1/2), summed in logarithms. */
function binomialTail(k: number, n: number): number {
  let logTerm = -n * Math.LN2;
  let sum = Math.exp(logTerm);
  for (let i = 1; i <= k; i++) {
    logTerm += Math.log((n - i + 1) / i);
    sum += Math.exp(logTerm);
  }
  return sum;
}

/** A difference between two models, second minus first, with its uncertainty. */
export interface PairedDifference {
  readonly difference: number;
  readonly interval: readonly [number, number];
  /** Two-sided: twice the share of resamples on the other side of 0, at least 1 / resamples. */
  readonly pValue: number;
}

/**
 * Paired bootstrap (Koehn 2004): both models are scored on the same resampled rows, so what makes a row hard for both
 * cancels out.
 */
export function pairedBootstrap(
  rows: number,
  first: (rows: ArrayLike<number>) => number,
  second: (rows: ArrayLike<number>) => number,
  options: BootstrapOptions = {},
): PairedDifference {
  const { level = 0.95 } = options;
  const all = Uint32Array.from({ length: rows }, (_, i) => i);
  const differences = bootstrap(rows, (sample) => second(sample) - first(sample), options).sort();
  const below = differences.filter((difference) => difference <= 0).length;
  const above = differences.filter((difference) => difference >= 0).length;
  const smaller = Math.max(1, Math.min(below, above)) / differences.length;
  return {
    difference: second(all) - first(all),
    interval: [quantile(differences, (1 - level) / 2), quantile(differences, (1 + level) / 2)],
    pValue: Math.min(1, 2 * smaller),
  };
}
