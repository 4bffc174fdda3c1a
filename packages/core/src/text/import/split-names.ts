import type { Split } from '../dataset';

/** What a file name says: the split, and what remains of the name, which is equal for files that belong together. */
export interface NamedSplit {
  readonly split: Split | undefined;
  /** Out-of-scope rows, as CLINC150 names them. */
  readonly outOfScope: boolean;
  readonly rest: string;
  /** Whether the name is `dev` itself, not `val`: where both occur, `dev` is the labelled test split (GLUE copies). */
  readonly saysDev: boolean;
}

const SPLIT_WORD =
  /(^|[^a-z0-9])(train|training|trainset|dev|devset|val|valid|validation|test|testset(?:_w_refs)?|eval)(?=$|[^a-z0-9])/gi;

/** Reads a split from a path or key: the last word that names one, the file's own name before its folders. */
export function namedSplit(name: string): NamedSplit {
  const slash = name.lastIndexOf('/') + 1;
  const own = lastSplitWord(name.slice(slash));
  const found = own ?? lastSplitWord(name.slice(0, slash));
  const outOfScope = /(^|[^a-z0-9])(oos|ood)_/i.test(name);
  if (found === undefined) return { split: undefined, outOfScope, rest: name, saysDev: false };
  const at = found.index + (own === undefined ? 0 : slash);
  return {
    split: splitOfWord(found.word),
    outOfScope,
    rest: name.slice(0, at) + name.slice(at + found.word.length),
    saysDev: /^dev/i.test(found.word),
  };
}

function lastSplitWord(text: string): { word: string; index: number } | undefined {
  const match = [...text.matchAll(SPLIT_WORD)].at(-1);
  return match && { word: match[2], index: match.index + match[1].length };
}

function splitOfWord(word: string): Split {
  if (/^train/i.test(word)) return 'train';
  return /^(dev|val)/i.test(word) ? 'dev' : 'test';
}
