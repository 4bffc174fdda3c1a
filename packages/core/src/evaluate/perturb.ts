/** @file Small changes to texts that should not change their class, for robustness reports. */
import { Random } from '../train/random';

export const PERTURBATIONS = ['typos', 'lower-case', 'upper-case', 'no-punctuation', 'word-drop', 'word-swap'] as const;
export type Perturbation = (typeof PERTURBATIONS)[number];

export interface PerturbOptions {
  /** Share of words that are touched, for those kinds that choose words; at least one word is. Default 0.1. */
  readonly rate?: number;
  readonly seed: number;
}

type Change = (words: string[], random: Random, rate: number) => string[];

const CHANGES: Readonly<Record<Perturbation, Change>> = {
  typos: (words, random, rate) => touch(words, random, rate, (word) => misspell(word, random)),
  'lower-case': (words) => words.map((word) => word.toLowerCase()),
  'upper-case': (words) => words.map((word) => word.toUpperCase()),
  'no-punctuation': (words) => words.map((word) => word.replace(/\p{P}/gu, '')).filter((word) => word !== ''),
  'word-drop': (words, random, rate) => drop(words, random, rate),
  'word-swap': (words, random, rate) => swap(words, random, rate),
};

/**
 * Changes a text; the same seed changes the same text the same way. Words are joined by
 * single spaces. A text that nothing would be left of stays as it is.
 */
export function perturb(text: string, perturbation: Perturbation, { rate = 0.1, seed }: PerturbOptions): string {
  const words = text.split(/\s+/u).filter((word) => word !== '');
  if (words.length === 0) return text;
  return CHANGES[perturbation](words, new Random(seed), rate).join(' ') || text;
}

/** Indices of the words to touch: the share `rate`, at least one. */
function choose(count: number, random: Random, rate: number): Set<number> {
  const wanted = Math.min(count, Math.max(1, Math.round(rate * count)));
  return new Set(random.permutation(count).subarray(0, wanted));
}

function touch(words: string[], random: Random, rate: number, change: (word: string) => string): string[] {
  const chosen = choose(words.length, random, rate);
  return words.map((word, i) => (chosen.has(i) ? change(word) : word));
}

/** One keyboard slip: two neighbouring letters swapped, one left out, or one doubled. */
function misspell(word: string, random: Random): string {
  const letters = Array.from(word);
  if (letters.length < 2) return word;
  const at = random.integer(letters.length - 1);
  const slip = random.integer(3);
  if (slip === 0) letters.splice(at, 2, letters[at + 1], letters[at]);
  else if (slip === 1) letters.splice(at, 1);
  else letters.splice(at, 0, letters[at]);
  return letters.join('');
}

/** The last word always stays. */
function drop(words: string[], random: Random, rate: number): string[] {
  if (words.length === 1) return words;
  const chosen = choose(words.length - 1, random, rate);
  return words.filter((_, i) => !chosen.has(i));
}

function swap(words: string[], random: Random, rate: number): string[] {
  if (words.length === 1) return words;
  const swapped = [...words];
  for (const at of choose(words.length - 1, random, rate)) {
    [swapped[at], swapped[at + 1]] = [swapped[at + 1], swapped[at]];
  }
  return swapped;
}
