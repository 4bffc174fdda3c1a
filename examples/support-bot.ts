/**
 * @file The example data set: messages to a web shop's support bot, 20 intents, made by a seeded generator.
 *
 * It is meant to be honest rather than easy: messages carry typing errors, chat spelling and sentences that belong to
 * another intent, some phrasings are rare in training, and a few labels are wrong, as labels made by people are. A good
 * classifier gets about 95 % right, none gets 100 %.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLOSINGS, CONFUSABLE, INTENTS, OPENINGS, SLOTS } from './support-bot-intents';

export interface LabelledText {
  readonly text: string;
  readonly label: string;
}

export type SupportBotData = Record<'train' | 'dev' | 'test', LabelledText[]>;

export interface SupportBotOptions {
  /** Rows of all splits together; 70 % train, 10 % dev, 20 % test. Default 4,000. */
  readonly rows?: number;
  readonly seed?: number;
}

/** Share of rows whose label is a confusable one. */
const WRONG_LABELS = 0.03;
/** Chance of a typing error in a word of more than three letters. */
const TYPING_ERRORS = 0.04;
/** How often a training row uses one of an intent's two rare patterns; elsewhere all patterns are equally likely. */
const RARE_IN_TRAINING = 0.08;
const RARE_PATTERNS = 2;

/** Generates the data set; equal options give equal rows, and no text occurs twice. */
export function generateSupportBot(options: SupportBotOptions = {}): SupportBotData {
  const rows = options.rows ?? 4000;
  const random = new Random(options.seed ?? 7);
  const seen = new Set<string>();
  const split = (share: number, training: boolean): LabelledText[] =>
    Array.from({ length: Math.round(rows * share) }, () => uniqueRow(random, seen, training));
  return { train: split(0.7, true), dev: split(0.1, false), test: split(0.2, false) };
}

/** Writes train.tsv, dev.tsv and test.tsv (columns text, label) and returns the folder. */
export function writeSupportBot(folder: string, options: SupportBotOptions = {}): string {
  mkdirSync(folder, { recursive: true });
  for (const [split, rows] of Object.entries(generateSupportBot(options))) {
    const lines = rows.map(({ text, label }) => `${text}\t${label}`);
    writeFileSync(join(folder, `${split}.tsv`), ['text\tlabel', ...lines, ''].join('\n'));
  }
  return folder;
}

/** xorshift128 with the seed spread by splitmix32: small, fast, the same everywhere. */
class Random {
  private readonly state = new Uint32Array(4);

  constructor(seed: number) {
    for (let i = 0, x = seed >>> 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      this.state[i] = mixed ^ (mixed >>> 15);
    }
  }

  /** Uniform in [0, 1). */
  next(): number {
    const [a, b, c, d] = this.state as unknown as [number, number, number, number];
    const t = a ^ (a << 11);
    this.state.set([b, c, d, d ^ (d >>> 19) ^ t ^ (t >>> 8)]);
    return this.state[3] / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

function uniqueRow(random: Random, seen: Set<string>, training: boolean): LabelledText {
  for (;;) {
    const row = makeRow(random, training);
    const key = row.text.toLowerCase();
    if (seen.has(key)) continue;
    seen.add(key);
    return row;
  }
}

function makeRow(random: Random, training: boolean): LabelledText {
  const intent = random.pick(Object.keys(INTENTS));
  const request = expand(random, pickPattern(random, INTENTS[intent], training));
  const parts = [request];
  if (random.chance(0.4)) parts.unshift(expand(random, random.pick(OPENINGS)));
  if (random.chance(0.4)) parts.push(expand(random, random.pick(CLOSINGS)));
  const text = disturb(random, parts.join(random.chance(0.7) ? ', ' : ' '));
  return { text, label: (random.chance(WRONG_LABELS) && CONFUSABLE[intent]) || intent };
}

function pickPattern(random: Random, patterns: readonly string[], training: boolean): string {
  if (!training) return random.pick(patterns);
  const common = patterns.length - RARE_PATTERNS;
  return random.chance(RARE_IN_TRAINING) ? random.pick(patterns.slice(common)) : random.pick(patterns.slice(0, common));
}

/** Chooses alternatives, then fills slots. Alternatives do not nest. */
function expand(random: Random, pattern: string): string {
  return pattern
    .replaceAll(/\(([^)]*)\)/g, (_, alternatives: string) => random.pick(alternatives.split('|')))
    .replaceAll(/\{(\w+)\}/g, (_, slot: string) => random.pick(SLOTS[slot]))
    .replaceAll(/ {2,}/g, ' ')
    .trim();
}

const CHAT_SPELLING: readonly (readonly [RegExp, string])[] = [
  [/\byou\b/g, 'u'],
  [/\bplease\b/g, 'pls'],
  [/\bare\b/g, 'r'],
  [/\bi am\b/g, 'im'],
  [/\b(do|does|is) not\b/g, '$1nt'],
  [/\band\b/g, '&'],
];

/** Typing errors, chat spelling, capitals and closing punctuation. */
function disturb(random: Random, text: string): string {
  const chatty = random.chance(0.15)
    ? CHAT_SPELLING.reduce((result, [pattern, replacement]) => result.replaceAll(pattern, replacement), text)
    : text;
  const words = chatty
    .split(' ')
    .map((word) => (word.length > 3 && random.chance(TYPING_ERRORS) ? mistype(random, word) : word));
  const joined = words.join(' ') + random.pick(['', '', '.', '?', '!', '...']);
  if (random.chance(0.05)) return joined.toUpperCase();
  return random.chance(0.4) ? joined.charAt(0).toUpperCase() + joined.slice(1) : joined;
}

/** Drops, doubles or swaps one letter. */
function mistype(random: Random, word: string): string {
  const at = 1 + random.below(word.length - 2);
  const [before, letter, next, after] = [word.slice(0, at), word[at], word[at + 1] ?? '', word.slice(at + 2)];
  switch (random.below(3)) {
    case 0:
      return before + next + after;
    case 1:
      return before + letter + letter + next + after;
    default:
      return before + next + letter + after;
  }
}
