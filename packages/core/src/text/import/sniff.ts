import type { SourceFile } from './source-file';
import { decodeLines } from './encoding';
import type { Encoding } from './encoding';
import type { Format } from './options';

const BY_EXTENSION: Readonly<Record<string, Format>> = {
  csv: 'csv',
  tsv: 'tsv',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  yml: 'rasa',
  yaml: 'rasa',
};

const SAMPLE_LINES = 500;

/** Tells a file's format by its extension, else by its first lines. */
export async function sniffFormat(file: SourceFile, encoding: Encoding): Promise<Format> {
  const extension = /\.([a-z]+)$/i.exec(file.name)?.[1].toLowerCase() ?? '';
  return BY_EXTENSION[extension] ?? formatOfLines(await firstLines(file, encoding, SAMPLE_LINES));
}

/** The first lines of a file that hold anything. */
export async function firstLines(file: SourceFile, encoding: Encoding, count: number): Promise<string[]> {
  const lines: string[] = [];
  for await (const group of decodeLines(file, encoding)) {
    lines.push(...group.filter((line) => line.trim() !== ''));
    if (lines.length >= count) break;
  }
  return lines.slice(0, count);
}

function formatOfLines(lines: readonly string[]): Format {
  const every = (pattern: RegExp): boolean => lines.length > 0 && lines.every((line) => pattern.test(line));
  if (every(/^\s*\{.*\}\s*$/)) return 'jsonl';
  if (every(/^[A-Z]{2,}:\w+ \S/)) return 'trec';
  const tabs = new Set(lines.map((line) => line.split('\t').length));
  if (tabs.size === 1 && !tabs.has(1)) return 'tsv';
  return every(/^\S+ /) && hasFewFirstWords(lines) ? 'label-text' : 'lines';
}

/** Labels are few; the first words of sentences are many. `0 some text`, `__label__x some text`. */
function hasFewFirstWords(lines: readonly string[]): boolean {
  const words = new Set(lines.map((line) => line.slice(0, line.indexOf(' '))));
  const labelLike = [...words].every((word) => /^\d+$|^__label__/.test(word));
  return words.size <= (labelLike ? 200 : Math.min(20, lines.length / 20));
}
