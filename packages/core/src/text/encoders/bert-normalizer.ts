import { charFlags, DROP, HAN, SPACE } from './characters';

export interface BertNormalization {
  readonly lowercase: boolean;
  readonly stripAccents: boolean;
  readonly splitHan: boolean;
}

const PRINTABLE_ASCII = /^[\t\n\r -~]*$/;

/**
 * BERT's text cleaning: control characters removed, every white space a space, Han characters set apart, accents
 * stripped (NFD without marks), lower case. Lower-casing is per character: no final sigma.
 */
export function bertNormalize(text: string, { lowercase, stripAccents, splitHan }: BertNormalization): string {
  if (PRINTABLE_ASCII.test(text)) return lowercase ? text.toLowerCase() : text;
  let clean = '';
  for (const char of text) {
    const flags = charFlags(char.codePointAt(0) ?? 0);
    if (flags & DROP) continue;
    if (flags & SPACE) clean += ' ';
    else if (splitHan && flags & HAN) clean += ` ${char} `;
    else clean += char;
  }
  if (stripAccents) clean = clean.normalize('NFD').replace(/\p{Mn}/gu, '');
  return lowercase ? clean.replaceAll('Σ', 'σ').toLowerCase() : clean;
}
