import type { Split } from '../dataset';
import type { Mapping, RawExample } from './options';
import type { Part } from './plan';
import { csvRows, tsvRows } from './readers/delimited';
import { jsonlKeys, jsonlRows, readJsonTable } from './readers/json';
import { labelTextLines, parallelLines, plainLines, trecLines } from './readers/lines';
import { rasaExamples } from './readers/rasa';
import { findAllColumns, openTable, tableExamples } from './table';
import type { Table } from './table';

/** A part that is ready to be read. */
export interface OpenPart {
  readonly name: string;
  readonly split: Split | undefined;
  /** What its rows have besides a text. */
  readonly has: { readonly pair: boolean; readonly label: boolean; readonly target: boolean };
  /** Class order that the source states. */
  readonly labels: readonly string[] | undefined;
  examples(): AsyncIterable<RawExample>;
}

interface OpenTable {
  readonly part: Part;
  readonly table: Table;
  readonly labels?: readonly string[] | undefined;
}

const LABEL_ONLY = { pair: false, label: true, target: false };
const TEXT_ONLY = { pair: false, label: false, target: false };

/** Opens all parts; tables are looked at together, as one may explain the columns of another. */
export async function openParts(
  parts: readonly Part[],
  mapping: Mapping,
  warn: (message: string) => void,
): Promise<OpenPart[]> {
  const opened = await Promise.all(parts.map((part) => openPart(part, mapping, warn)));
  const tables = opened.filter((part) => 'table' in part);
  const columns = findAllColumns(
    tables.map(({ table }) => table),
    mapping,
  );
  return opened.map((part) => {
    if (!('table' in part)) return part;
    const places = columns[tables.indexOf(part)];
    const has = {
      pair: places.pair !== undefined,
      label: places.label !== undefined,
      target: places.target !== undefined,
    };
    const { file, split } = part.part;
    return { name: file.name, split, has, labels: part.labels, examples: () => tableExamples(part.table, places) };
  });
}

async function openPart(part: Part, mapping: Mapping, warn: (message: string) => void): Promise<OpenPart | OpenTable> {
  const { file, encoding, split, format } = part;
  const plain = (has: OpenPart['has'], examples: () => AsyncIterable<RawExample>): OpenPart => ({
    name: file.name,
    split,
    has,
    labels: undefined,
    examples,
  });
  switch (format) {
    case 'csv':
      return { part, table: await openTable(file.name, () => csvRows(file, encoding, mapping.delimiter), mapping) };
    case 'tsv':
      return { part, table: await openTable(file.name, () => tsvRows(file, encoding, mapping.delimiter), mapping) };
    case 'jsonl': {
      const keys = await jsonlKeys(file, encoding);
      return { part, table: await openTable(file.name, () => jsonlRows(file, encoding, keys), mapping, keys) };
    }
    case 'json':
      return openJson(part, mapping, warn);
    case 'rasa':
      return plain(LABEL_ONLY, () => rasaExamples(file, encoding));
    case 'label-text':
      return plain(LABEL_ONLY, () => labelTextLines(file, encoding));
    case 'trec':
      return plain(LABEL_ONLY, () => trecLines(file, encoding, mapping.level ?? 'coarse'));
    case 'parallel':
      return plain(LABEL_ONLY, () => parallelLines(file, part.labels ?? file, encoding));
    case 'lines':
      return plain(TEXT_ONLY, () => plainLines(file, encoding));
  }
}

async function openJson(part: Part, mapping: Mapping, warn: (message: string) => void): Promise<OpenTable> {
  const { file, encoding } = part;
  const { keys, rows, labels, outOfScope } = await readJsonTable(file, encoding, mapping.outOfScope ?? false);
  if (outOfScope > 0) {
    warn(`${outOfScope} out-of-scope rows of ${file.name} are left out; set mapping.outOfScope to keep them.`);
  }
  const noHeader = { ...mapping, header: false };
  const read = async function* () {
    yield* rows;
  };
  return { part, labels, table: await openTable(file.name, read, noHeader, keys) };
}
