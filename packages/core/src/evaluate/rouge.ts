/** ROUGE-L of one text (Lin 2004): precision, recall and F1 of the longest common subsequence of words. */
export interface RougeL {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Against several references: the one with the best F1. */
export function rougeL(candidate: string, references: readonly string[]): RougeL {
  const words = rougeWords(candidate);
  const none: RougeL = { precision: 0, recall: 0, f1: 0 };
  return references
    .map((reference) => compare(words, rougeWords(reference)))
    .reduce((best, score) => (score.f1 > best.f1 ? score : best), none);
}

/** Mean ROUGE-L F1 over texts, 0..1. */
export const meanRougeL = (candidates: readonly string[], references: readonly (readonly string[])[]): number =>
  candidates.reduce((sum, candidate, i) => sum + rougeL(candidate, references[i]).f1, 0) / candidates.length;

function compare(candidate: readonly string[], reference: readonly string[]): RougeL {
  const common = longestCommonSubsequence(candidate, reference);
  if (common === 0) return { precision: 0, recall: 0, f1: 0 };
  const precision = common / candidate.length;
  const recall = common / reference.length;
  return { precision, recall, f1: (2 * precision * recall) / (precision + recall) };
}

function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  const lengths = new Uint32Array(b.length + 1);
  for (const word of a) {
    let diagonal = 0;
    for (let j = 1; j <= b.length; j++) {
      const above = lengths[j];
      lengths[j] = word === b[j - 1] ? diagonal + 1 : Math.max(above, lengths[j - 1]);
      diagonal = above;
    }
  }
  return lengths[b.length];
}

/** Lower-cased runs of letters and digits, of any script. */
const rougeWords = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
