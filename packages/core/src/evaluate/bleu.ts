/** How zero n-gram matches are treated: not at all, or by halving (as NIST's mteval does). */
export type BleuSmoothing = 'none' | 'exponential';

const ORDER = 4;

/** What BLEU is computed from; counts of several texts may be added up. */
export interface BleuCounts {
  /** Matched n-grams by n - 1, clipped to what the references have. */
  readonly matches: readonly number[];
  /** N-grams of the candidate by n - 1. */
  readonly totals: readonly number[];
  readonly candidateLength: number;
  /** Length of the reference nearest in length, the shorter of equals. */
  readonly referenceLength: number;
}

/**
 * Corpus BLEU (Papineni et al. 2002), 0..100: the geometric mean of clipped 1- to 4-gram precisions over all texts,
 * times exp(1 - reference length / candidate length) if the candidates are shorter.
 * @param references For each candidate one or more.
 */
export function corpusBleu(
  candidates: readonly string[],
  references: readonly (readonly string[])[],
  smoothing: BleuSmoothing = 'exponential',
): number {
  return bleuOfCounts(
    candidates.map((candidate, i) => bleuCounts(candidate, references[i])),
    smoothing,
  );
}

/** BLEU of texts counted before; for bootstrap samples, which use the same texts again and again. */
export function bleuOfCounts(counts: readonly BleuCounts[], smoothing: BleuSmoothing = 'exponential'): number {
  const sum = (pick: (count: BleuCounts) => number): number => counts.reduce((total, count) => total + pick(count), 0);
  let logPrecision = 0;
  let halving = 1;
  for (let n = 0; n < ORDER; n++) {
    const matches = sum((count) => count.matches[n]);
    const total = sum((count) => count.totals[n]);
    if (total === 0) return 0;
    if (matches === 0 && smoothing === 'none') return 0;
    if (matches === 0) halving *= 2;
    logPrecision += Math.log(matches === 0 ? 1 / (halving * total) : matches / total) / ORDER;
  }
  const [candidate, reference] = [sum((count) => count.candidateLength), sum((count) => count.referenceLength)];
  const brevity = candidate < reference ? Math.exp(1 - reference / candidate) : 1;
  return sum((count) => count.matches[0]) === 0 ? 0 : 100 * brevity * Math.exp(logPrecision);
}

export function bleuCounts(candidate: string, references: readonly string[]): BleuCounts {
  const words = bleuWords(candidate);
  const others = references.map(bleuWords);
  const matches: number[] = [];
  const totals: number[] = [];
  for (let n = 1; n <= ORDER; n++) {
    const grams = countGrams(words, n);
    const allowed = others.map((other) => countGrams(other, n));
    let matched = 0;
    for (const [gram, count] of grams) {
      matched += Math.min(count, Math.max(0, ...allowed.map((other) => other.get(gram) ?? 0)));
    }
    matches.push(matched);
    totals.push(Math.max(0, words.length - n + 1));
  }
  const lengths = others.map((other) => other.length);
  const nearest = lengths.reduce((best, length) => {
    const [a, b] = [Math.abs(length - words.length), Math.abs(best - words.length)];
    return a < b || (a === b && length < best) ? length : best;
  }, lengths[0] ?? 0);
  return { matches, totals, candidateLength: words.length, referenceLength: nearest };
}

function countGrams(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const gram = words.slice(i, i + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** Words as mteval-v13a cuts them: signs by themselves, but not within numbers; case is kept. */
function bleuWords(text: string): string[] {
  return ` ${text} `
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/g, '$1 $2 ')
    .replace(/([.,])([^0-9])/g, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ')
    .split(/\s+/)
    .filter(Boolean);
}
