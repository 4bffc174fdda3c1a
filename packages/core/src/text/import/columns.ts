/** @file Which column of a table is the text, the pair, the label, the target. */
import { invalid } from '../../errors';
import type { Column, Mapping } from './options';

/** Places of the parts of an example in a row. */
export interface ColumnPlaces {
  readonly text: number;
  readonly pair?: number;
  readonly label?: number;
  readonly target?: number;
}

/** What is known of a table from its first rows. */
export interface TableSample {
  readonly file: string;
  /** Column names; undefined without a header. */
  readonly header: readonly string[] | undefined;
  /** First rows without the header. */
  readonly rows: readonly (readonly string[])[];
}

/** Usual names, most telling first. A text and its pair or target are recognised together. */
const PAIRS = [
  ['sentence1', 'sentence2'],
  ['premise', 'hypothesis'],
  ['question1', 'question2'],
  ['question', 'sentence'],
  ['text_a', 'text_b'],
  ['text1', 'text2'],
  ['text', 'pair'],
] as const;
const GENERATIONS = [
  ['mr', 'ref'],
  ['source', 'target'],
  ['input', 'output'],
  ['prompt', 'completion'],
  ['document', 'summary'],
  ['text', 'target'],
] as const;
const TEXTS = [
  'text',
  'sentence',
  'review',
  'utterance',
  'question',
  'content',
  'comment',
  'query',
  'tweet',
  'body',
  'mr',
] as const;
const LABELS = [
  'label',
  'labels',
  'class',
  'intent',
  'category',
  'sentiment',
  'polarity',
  'score',
  'similarity',
] as const;
const KNOWN = new Set<string>([...PAIRS.flat(), ...GENERATIONS.flat(), ...TEXTS, ...LABELS]);

/** Whether a first row is a header: at least one usual column name, and nothing that looks like data. */
export function looksLikeHeader(row: readonly string[]): boolean {
  const names = row.map(normalize);
  return (
    names.some((name) => KNOWN.has(name)) &&
    new Set(names).size === names.length &&
    names.every((name) => name.length <= 40)
  );
}

/**
 * Finds the columns: those the user mapped, then usual names of the header, then by content.
 * @throws ModelpressError `dataset.column` naming the columns that exist.
 */
export function findColumns(sample: TableSample, mapping: Mapping): ColumnPlaces {
  const mapped = mappedColumns(sample, mapping);
  if (mapped.text !== undefined) return { ...mapped, text: mapped.text };
  const found = sample.header ? byName(sample.header) : byContent(sample.rows);
  if (found?.text === undefined) throw noText(sample);
  return { ...found, ...mapped, text: found.text };
}

function mappedColumns(sample: TableSample, mapping: Mapping): Partial<ColumnPlaces> {
  const places: { -readonly [Part in keyof ColumnPlaces]?: number } = {};
  for (const part of ['text', 'pair', 'label', 'target'] as const) {
    const column = mapping[part];
    if (column !== undefined) places[part] = placeOf(column, sample, `mapping.${part}`);
  }
  return places;
}

function placeOf(column: Column, { header, rows, file }: TableSample, field: string): number {
  const width = header?.length ?? rows[0]?.length ?? 0;
  const place = typeof column === 'number' ? column : (header?.indexOf(column) ?? -1);
  if (place >= 0 && place < width) return place;
  const existing = header ? `its columns are ${header.join(', ')}` : `it has ${width} columns and no header`;
  throw invalid('dataset.column', `${file} has no column ${column}; ${existing}.`, {
    field,
    file,
    columns: header ?? width,
  });
}

function byName(header: readonly string[]): Partial<ColumnPlaces> | undefined {
  const names = header.map(normalize);
  const place = (name: string): number | undefined => (names.includes(name) ? names.indexOf(name) : undefined);
  const first = (candidates: readonly string[]): number | undefined =>
    candidates.map(place).find((found) => found !== undefined);
  const label = first(LABELS);
  const both = (pairs: readonly (readonly [string, string])[]) =>
    pairs.map(([a, b]) => [place(a), place(b)] as const).find(([a, b]) => a !== undefined && b !== undefined);
  const pair = both(PAIRS);
  if (pair) return defined({ text: pair[0], pair: pair[1], label });
  const generation = label === undefined ? both(GENERATIONS) : undefined;
  if (generation) return defined({ text: generation[0], target: generation[1] });
  const text = first(TEXTS) ?? (names.length === 2 && label !== undefined ? 1 - label : undefined);
  return text === undefined ? undefined : defined({ text, label });
}

/** Headerless: the label has the fewest values; texts differ from row to row. */
function byContent(rows: readonly (readonly string[])[]): Partial<ColumnPlaces> | undefined {
  const width = rows[0]?.length ?? 0;
  if (width <= 1) return width === 1 ? { text: 0 } : undefined;
  const columns = Array.from({ length: width }, (_, place) => describe(rows, place));
  const [label] = columns
    .filter(({ filled, repeats }) => filled && (repeats > 0 || rows.length < FEW_ROWS))
    .sort((a, b) => labelRank(a, width) - labelRank(b, width) || a.length - b.length);
  const texts = columns.filter((column) => column !== label && column.repeats < 0.5 && !column.numeric);
  return texts.length === 0 ? undefined : defined({ text: texts[0].place, pair: texts[1]?.place, label: label?.place });
}

/** With fewer rows than this even labels may all differ. */
const FEW_ROWS = 10;

interface ColumnContent {
  readonly place: number;
  readonly distinct: number;
  /** Share of rows whose value occurred before. */
  readonly repeats: number;
  /** Mean length. */
  readonly length: number;
  readonly numeric: boolean;
  readonly filled: boolean;
}

function describe(rows: readonly (readonly string[])[], place: number): ColumnContent {
  const values = rows.map((row) => row[place] ?? '');
  const distinct = new Set(values).size;
  return {
    place,
    distinct,
    repeats: 1 - distinct / values.length,
    length: values.reduce((sum, value) => sum + value.length, 0) / values.length,
    numeric: values.every((value) => /^-?\d+(\.\d+)?$/.test(value)),
    filled: values.every((value) => value !== ''),
  };
}

/** Fewest values first; of many columns, one that never changes tells nothing and comes last. */
const labelRank = ({ distinct }: ColumnContent, width: number): number =>
  distinct === 1 && width > 2 ? Number.MAX_VALUE : distinct;

const normalize = (name: string): string => name.trim().toLowerCase();

const defined = (places: Partial<Record<keyof ColumnPlaces, number | undefined>>): Partial<ColumnPlaces> =>
  Object.fromEntries(Object.entries(places).filter(([, place]) => place !== undefined));

const noText = ({ file, header, rows }: TableSample) =>
  invalid(
    'dataset.column',
    `The text column of ${file} cannot be told; ${
      header ? `its columns are ${header.join(', ')}` : `it has ${rows[0]?.length ?? 0} columns and no header`
    }. Name it in the mapping.`,
    { field: 'mapping.text', file, columns: header ?? rows[0]?.length ?? 0 },
  );
