/** @file Made-up texts for a teacher to label: variants of training texts, which say what it knows nearby. */
import type { Example } from '../text';
import { Random } from '../train/random';
import type { DistillConfig } from './config';
import type { NearWords } from './near-words';

export type AugmentConfig = DistillConfig['augment'];
type Kind = AugmentConfig['by'][number];

/** Splices need a text to be joined with: one of the last so many. */
const NEIGHBOURS = 1000;
/** Words of the longest span. */
const LONGEST_SPAN = 5;
/** A word, and the punctuation that a text may have around it. */
const WORD = /^([^\p{L}\p{N}]*)([\p{L}\p{M}]+)([^\p{L}\p{N}]*)$/u;

/**
 * Variants of texts, the kinds of `by` in turn: `drop` and `splice` after Tang et al. 2019 (arXiv:1903.12136), `replace`
 * after Jiao et al. 2020 (TinyBERT, arXiv:1909.10351) with the teacher's own word vectors.
 */
export class Variants {
  private readonly random: Random;
  private readonly recent: string[][] = [];
  private made = 0;
  private readonly make: Readonly<Record<Kind, (words: string[]) => string[]>> = {
    drop: (words) => this.drop(words),
    splice: (words) => this.splice(words),
    replace: (words) => words.map((word) => this.replace(word)),
    span: (words) => this.span(words),
  };

  constructor(
    private readonly config: AugmentConfig,
    seed: number,
    private readonly near: NearWords = new Map(),
  ) {
    this.random = new Random(seed);
  }

  /** Variants of one text; each time others. A pair keeps its second text. */
  of({ text, pair }: Pick<Example, 'text' | 'pair'>): Example[] {
    const { texts, by } = this.config;
    if (texts === 0) return [];
    const words = text.split(/\s+/).filter(Boolean);
    const variants = Array.from({ length: texts }, () => this.make[by[this.made++ % by.length]](words));
    this.recent[this.recent.length < NEIGHBOURS ? this.recent.length : this.random.integer(NEIGHBOURS)] = words;
    return variants.map((all) => ({ text: all.join(' '), ...(pair === undefined ? {} : { pair }) }));
  }

  private drop(words: string[]): string[] {
    const kept = words.filter(() => this.random.uniform() >= this.config.rate);
    return kept.length > 0 ? kept : words;
  }

  private splice(words: string[]): string[] {
    if (this.recent.length === 0 || words.length === 0) return this.drop(words);
    const other = this.recent[this.random.integer(this.recent.length)];
    return [...words.slice(0, this.cut(words)), ...other.slice(this.cut(other))];
  }

  private replace(word: string): string {
    if (this.random.uniform() >= this.config.rate) return word;
    const [, before, inner, after] = WORD.exec(word) ?? [];
    const others = inner === undefined ? undefined : (this.near.get(inner) ?? this.near.get(inner.toLowerCase()));
    if (others === undefined) return word;
    return before + others[this.random.integer(others.length)] + after;
  }

  private span(words: string[]): string[] {
    const length = 1 + this.random.integer(Math.max(1, Math.min(LONGEST_SPAN, words.length)));
    const start = this.random.integer(Math.max(1, words.length - length + 1));
    return words.slice(start, start + length);
  }

  private cut({ length }: string[]): number {
    return this.random.integer(length + 1);
  }
}
