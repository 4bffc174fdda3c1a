/** @file Character classes of BERT's text cleaning, one byte of flags per code point, computed on first use. */

const KNOWN = 1;
/** Removed: control, format, private use, U+0000 and U+FFFD. */
export const DROP = 2;
/** Becomes a space. */
export const SPACE = 4;
/** Set apart as a word of its own in languages written without spaces. */
export const HAN = 8;
export const PUNCTUATION = 16;

const flags = new Uint8Array(0x110000);

/** Flags of a code point. */
export function charFlags(codePoint: number): number {
  const known = flags[codePoint] ?? 0;
  return known === 0 ? (flags[codePoint] = classify(codePoint)) : known;
}

function classify(codePoint: number): number {
  const char = String.fromCodePoint(codePoint);
  if (/[\t\n\r]/.test(char)) return KNOWN | SPACE;
  if (codePoint === 0 || codePoint === 0xfffd || /[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/u.test(char)) return KNOWN | DROP;
  if (/\p{White_Space}/u.test(char)) return KNOWN | SPACE;
  if (isHan(codePoint)) return KNOWN | HAN;
  if (/[!-/:-@[-`{-~]|\p{P}/u.test(char)) return KNOWN | PUNCTUATION;
  return KNOWN;
}

/** The CJK ideograph blocks BERT names; Extension E as published (2B920 stands for 2B820), to stay equal to it. */
const isHan = (code: number): boolean =>
  (code >= 0x4e00 && code <= 0x9fff) ||
  (code >= 0x3400 && code <= 0x4dbf) ||
  (code >= 0x20000 && code <= 0x2a6df) ||
  (code >= 0x2a700 && code <= 0x2b73f) ||
  (code >= 0x2b740 && code <= 0x2b81f) ||
  (code >= 0x2b920 && code <= 0x2ceaf) ||
  (code >= 0xf900 && code <= 0xfaff) ||
  (code >= 0x2f800 && code <= 0x2fa1f);
