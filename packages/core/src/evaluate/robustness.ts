/** @file Accuracy of a classifier on texts with small changes that should not matter. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { throwIfAborted } from '../errors';
import type { Example, Split } from '../text';
import { copySplit } from '../text/copy-split';
import { Random } from '../train/random';
import { argmaxRows } from './classification';
import { perturb } from './perturb';
import type { Perturbation } from './perturb';
import { predict } from './predict';
import type { PredictOptions } from './predict';

export interface RobustnessOptions {
  readonly perturbations: readonly Perturbation[];
  /** Share of words that are touched. */
  readonly rate: number;
  /** Times that a change is made at random, each with other words. */
  readonly seeds: number;
  /** Rows at most, drawn at random. */
  readonly rows: number;
  readonly seed: number;
}

export interface PerturbedAccuracy {
  readonly perturbation: Perturbation;
  /** One for each seed; a single one for changes without chance. */
  readonly accuracies: readonly number[];
  /** Their mean. */
  readonly accuracy: number;
}

export interface Robustness {
  readonly rows: number;
  /** Accuracy on the same rows as they are. */
  readonly clean: number;
  readonly perturbed: readonly PerturbedAccuracy[];
  /** Mean over perturbations of the accuracy, divided by the clean one; 0 if that is 0. */
  readonly retained: number;
}

/** Changes in which chance has no part. */
const FIXED: ReadonlySet<Perturbation> = new Set(['lower-case', 'upper-case', 'no-punctuation']);

/** Measures a bundle on changed copies of a split. @throws what `predict` throws */
export async function measureRobustness(
  bundle: string,
  dataset: string,
  split: Split,
  { perturbations, rate, seeds, rows, seed }: RobustnessOptions,
  options: PredictOptions,
): Promise<Robustness> {
  const runs = perturbations.flatMap((perturbation) =>
    Array.from({ length: FIXED.has(perturbation) ? 1 : seeds }, (_, i) => ({ perturbation, number: i })),
  );
  let done = 0;
  let counted = 0;
  const accuracyOf = async (change: (example: Example, row: number) => Example): Promise<number> => {
    throwIfAborted(options.signal);
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-perturbed-'));
    try {
      counted = (await copySplit(dataset, split, folder, { rows, seed, change })).length;
      const { logits, outputs, labels } = await predict(bundle, folder, split, {
        ...options,
        onProgress: () => undefined,
      });
      options.onProgress?.(++done / (runs.length + 1));
      const predicted = argmaxRows(logits, outputs);
      return predicted.filter((label, row) => label === labels[row]).length / labels.length;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
  const clean = await accuracyOf((example) => example);
  const accuracies = new Map<Perturbation, number[]>();
  for (const { perturbation, number } of runs) {
    const accuracy = await accuracyOf((example, row) =>
      changed(example, perturbation, rate, seedOf(seed, number, row)),
    );
    accuracies.set(perturbation, [...(accuracies.get(perturbation) ?? []), accuracy]);
  }
  const perturbed = [...accuracies].map(([perturbation, list]) => ({
    perturbation,
    accuracies: list,
    accuracy: mean(list),
  }));
  const retained = clean === 0 ? 0 : mean(perturbed.map(({ accuracy }) => accuracy)) / clean;
  return { rows: counted, clean, perturbed, retained };
}

/** Both texts of a pair are changed. */
function changed(example: Example, perturbation: Perturbation, rate: number, seed: number): Example {
  const text = perturb(example.text, perturbation, { rate, seed });
  if (example.pair === undefined) return { ...example, text };
  return { ...example, text, pair: perturb(example.pair, perturbation, { rate, seed: seed + 1 }) };
}

/** A seed of its own for each row and repetition. */
const seedOf = (seed: number, repetition: number, row: number): number =>
  new Random(seed + 1_000_003 * repetition + 7919 * row).uint32();

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
