import { invalid, limitExceeded } from '../../../errors';
import { decode, decodeLines } from '../encoding';
import type { Encoding } from '../encoding';
import { MAX_WHOLE_FILE_BYTES } from '../limits';
import { namedSplit } from '../split-names';
import type { SourceFile } from '../source-file';
import type { TableRow } from '../table';

type JsonObject = Readonly<Record<string, unknown>>;

/** Rows of a JSON file as a table; `keys` are the names of the columns, absent for lists of unusual length. */
export interface JsonTable {
  readonly keys: readonly string[] | undefined;
  /** Label names in class order, where the file states them. */
  readonly labels: readonly string[] | undefined;
  readonly rows: readonly TableRow[];
  /** Rows that were left out because they are out of scope. */
  readonly outOfScope: number;
}

/** One JSON object a line; columns are the keys of the first object. @throws ModelpressError `dataset.json` with the line. */
export async function* jsonlRows(
  file: SourceFile,
  encoding: Encoding,
  keys: readonly string[],
): AsyncGenerator<TableRow> {
  let line = 0;
  for await (const lines of decodeLines(file, encoding)) {
    for (const text of lines) {
      line++;
      if (text.trim() !== '') yield { cells: cellsOf(parseLine(text, file.name, line), keys), line };
    }
  }
}

/** The keys of the first object of a JSONL file. */
export async function jsonlKeys(file: SourceFile, encoding: Encoding): Promise<string[]> {
  for await (const lines of decodeLines(file, encoding)) {
    const at = lines.findIndex((line) => line.trim() !== '');
    if (at >= 0) return Object.keys(parseLine(lines[at], file.name, at + 1));
  }
  return [];
}

function parseLine(text: string, file: string, line: number): JsonObject {
  const value = parseJson(text, file, line);
  if (isObject(value)) return value;
  throw invalid('dataset.json', `Line ${line} of ${file} is not a JSON object.`, { file, line });
}

/**
 * Reads a whole JSON file: rows (objects, or lists of text, pair and label), or an object of such rows by split, as
 * CLINC150; or the entries of WebNLG and DART.
 * @throws ModelpressError `dataset.json`, `dataset.file-too-large`.
 */
export async function readJsonTable(file: SourceFile, encoding: Encoding, outOfScope: boolean): Promise<JsonTable> {
  const value = parseJson(await wholeText(file, encoding), file.name);
  const generation = generationRows(value);
  if (generation) return { keys: ['source', 'target'], labels: undefined, rows: generation, outOfScope: 0 };
  const groups = rowGroups(value, file.name);
  const kept = groups.filter((group) => outOfScope || !group.outOfScope);
  const items = kept.flatMap(({ rows }) => rows);
  const keys = columnNames(items);
  return {
    keys,
    labels: statedLabels(value),
    rows: kept.flatMap(({ split, rows }) =>
      rows.map((row) => ({ cells: rowCells(row, keys, file.name), line: 0, split })),
    ),
    outOfScope: groups.reduce((sum, group) => sum + (kept.includes(group) ? 0 : group.rows.length), 0),
  };
}

/** Objects name their columns; lists of two are a text and its label, of three two texts and their label. */
function columnNames(rows: readonly unknown[]): string[] | undefined {
  if (rows.every(isObject)) return Object.keys(rows[0] ?? {});
  const widths = new Set(rows.map((row) => (Array.isArray(row) ? row.length : 0)));
  if (widths.size !== 1) return undefined;
  return widths.has(2) ? ['text', 'label'] : widths.has(3) ? ['text', 'pair', 'label'] : undefined;
}

/** The text of a file that is parsed as a whole. @throws ModelpressError `dataset.file-too-large`. */
export async function wholeText(file: SourceFile, encoding: Encoding): Promise<string> {
  let text = '';
  for await (const part of decode(file, encoding)) {
    text += part;
    if (text.length > MAX_WHOLE_FILE_BYTES) {
      throw limitExceeded(
        'dataset.file-too-large',
        `${file.name} is too large to be read at once; use JSONL, CSV or TSV.`,
        {
          file: file.name,
        },
      );
    }
  }
  return text;
}

interface RowGroup {
  readonly split: ReturnType<typeof namedSplit>['split'];
  readonly outOfScope: boolean;
  readonly rows: readonly unknown[];
}

function rowGroups(value: unknown, file: string): RowGroup[] {
  if (isRowList(value)) return [{ split: undefined, outOfScope: false, rows: value }];
  if (isObject(value)) {
    const groups = Object.entries(value).flatMap(([key, rows]) => {
      const { split, outOfScope } = namedSplit(key);
      return split !== undefined && isRowList(rows) ? [{ split, outOfScope, rows }] : [];
    });
    if (groups.length > 0) return groups;
  }
  throw invalid('dataset.json', `${file} holds neither rows nor rows by split.`, { file });
}

const isRowList = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) && value.length > 0 && (isObject(value[0]) || Array.isArray(value[0]));

function rowCells(row: unknown, keys: readonly string[] | undefined, file: string): string[] {
  if (keys !== undefined && isObject(row)) return cellsOf(row, keys);
  if (Array.isArray(row)) return row.map(cellText);
  throw invalid('dataset.json', `${file} mixes rows of different kinds.`, { file });
}

const cellsOf = (row: JsonObject, keys: readonly string[]): string[] => keys.map((key) => cellText(row[key]));

function cellText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function statedLabels(value: unknown): string[] | undefined {
  const labels = isObject(value) ? value['labels'] : undefined;
  return Array.isArray(labels) && labels.every((label) => typeof label === 'string') ? labels : undefined;
}

/** Source and target pairs of WebNLG (`{entries: [{id: {modifiedtripleset, lexicalisations}}]}`) and DART (`[{tripleset, annotations}]`). */
function generationRows(value: unknown): TableRow[] | undefined {
  const entries = isObject(value) ? value['entries'] : value;
  if (!Array.isArray(entries) || entries.length === 0) return undefined;
  const pairs = entries.map((entry) => dartPairs(entry) ?? webNlgPairs(entry));
  if (pairs.some((pair) => pair === undefined)) return undefined;
  return pairs.flatMap((pair) => pair ?? []).map((cells) => ({ cells, line: 0 }));
}

function dartPairs(entry: unknown): string[][] | undefined {
  if (!isObject(entry)) return undefined;
  const { tripleset, annotations } = entry;
  if (!Array.isArray(tripleset) || !Array.isArray(annotations)) return undefined;
  const source = tripleset.map((triple) => (Array.isArray(triple) ? triple.join(' | ') : '')).join(' && ');
  return annotations.filter(isObject).map((annotation) => [source, cellText(annotation['text'])]);
}

function webNlgPairs(entry: unknown): string[][] | undefined {
  const content = isObject(entry) ? Object.values(entry)[0] : undefined;
  if (!isObject(content)) return undefined;
  const { modifiedtripleset: triples, lexicalisations } = content;
  if (!Array.isArray(triples) || !Array.isArray(lexicalisations)) return undefined;
  const source = triples
    .filter(isObject)
    .map(({ subject, property, object }) => [subject, property, object].map(cellText).join(' | '))
    .join(' && ');
  return lexicalisations.filter(isObject).map(({ lex }) => [source, cellText(lex)]);
}

function parseJson(text: string, file: string, line?: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const where = line === undefined ? file : `Line ${line} of ${file}`;
    const reason = error instanceof Error ? error.message : String(error);
    throw invalid('dataset.json', `${where} is not JSON: ${reason}`, { file, ...(line === undefined ? {} : { line }) });
  }
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
