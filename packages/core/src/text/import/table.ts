/** @file Tables: rows of cells, whether from CSV, TSV or JSON. */
import { invalid } from '../../errors';
import type { Split } from '../dataset';
import { findColumns, looksLikeHeader } from './columns';
import type { ColumnPlaces, TableSample } from './columns';
import type { Mapping, RawExample } from './options';

export interface TableRow {
  readonly cells: readonly string[];
  /** Line in the file, from 1; 0 where there are none. */
  readonly line: number;
  readonly split?: Split | undefined;
}

/** A table that can be read from its start again and again. */
export interface Table {
  readonly sample: TableSample;
  /** All rows but the header. */
  readonly rows: () => AsyncIterable<TableRow>;
}

const SAMPLE_ROWS = 500;

/**
 * Looks at the first rows of a table.
 * @param keys Column names where the format itself states them (JSON objects).
 */
export async function openTable(
  file: string,
  read: () => AsyncIterable<TableRow>,
  mapping: Mapping,
  keys?: readonly string[],
): Promise<Table> {
  const first: (readonly string[])[] = [];
  for await (const { cells } of read()) {
    first.push(cells);
    if (first.length === SAMPLE_ROWS) break;
  }
  const hasHeader =
    keys === undefined && first.length > 0 && (mapping.header ?? (namesColumns(mapping) || looksLikeHeader(first[0])));
  const header = keys ?? (hasHeader ? first[0].map((name) => name.trim()) : undefined);
  const sample = { file, header, rows: hasHeader ? first.slice(1) : first };
  return { sample, rows: () => (hasHeader ? skipFirst(read()) : read()) };
}

const namesColumns = ({ text, pair, label, target }: Mapping): boolean =>
  [text, pair, label, target].some((column) => typeof column === 'string');

/**
 * The examples of a table.
 * @throws ModelpressError `dataset.ragged` with the line of a row that has more or fewer cells than the first one.
 */
export async function* tableExamples({ sample, rows }: Table, places: ColumnPlaces): AsyncGenerator<RawExample> {
  const width = sample.header?.length ?? sample.rows[0]?.length ?? 0;
  const cell = (cells: readonly string[], place: number | undefined): string | undefined =>
    place === undefined ? undefined : cells[place];
  for await (const { cells, line, split } of rows()) {
    if (cells.length !== width) throw ragged(sample.file, line, cells.length, width);
    yield {
      text: cells[places.text],
      pair: cell(cells, places.pair),
      label: cell(cells, places.label)?.trim(),
      target: cell(cells, places.target),
      split,
      line,
    };
  }
}

/**
 * The columns of each table. A table without header takes the columns of another one of the same width that has a
 * header, as in GLUE copies where some files lost theirs.
 */
export function findAllColumns(tables: readonly Table[], mapping: Mapping): ColumnPlaces[] {
  return tables.map(({ sample }) => {
    const width = sample.rows[0]?.length;
    const twin = sample.header ? undefined : tables.find((other) => other.sample.header?.length === width);
    return findColumns(twin ? { ...sample, header: twin.sample.header } : sample, mapping);
  });
}

async function* skipFirst<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  let first = true;
  for await (const item of items) {
    if (!first) yield item;
    first = false;
  }
}

const ragged = (file: string, line: number, found: number, width: number) =>
  invalid('dataset.ragged', `Line ${line} of ${file} has ${found} columns instead of ${width}.`, { file, line });
