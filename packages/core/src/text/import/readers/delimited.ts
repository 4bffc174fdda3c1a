import { Readable } from 'node:stream';
import { parse } from 'csv-parse';
import type { CsvError, Info } from 'csv-parse';
import { invalid, limitExceeded } from '../../../errors';
import { decode, decodeLines } from '../encoding';
import type { Encoding } from '../encoding';
import { MAX_ROW_LENGTH } from '../limits';
import type { SourceFile } from '../source-file';
import type { TableRow } from '../table';

/** Rows of tab-separated values. There are no quotes: GLUE's files hold single ones as plain text. */
export async function* tsvRows(file: SourceFile, encoding: Encoding, delimiter = '\t'): AsyncGenerator<TableRow> {
  let line = 0;
  for await (const lines of decodeLines(file, encoding)) {
    for (const text of lines) {
      line++;
      if (text !== '') yield { cells: text.split(delimiter), line };
    }
  }
}

/**
 * Rows of comma-separated values (RFC 4180). The line of a row is that of its end.
 * @throws ModelpressError `dataset.csv` for misplaced quotes, `dataset.line-too-long`.
 */
export async function* csvRows(file: SourceFile, encoding: Encoding, delimiter = ','): AsyncGenerator<TableRow> {
  const source = Readable.from(decode(file, encoding));
  const parser = parse({
    delimiter,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW_LENGTH,
  });
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
      yield { cells: record, line: info.lines };
    }
  } catch (error) {
    throw csvError(error, file.name);
  } finally {
    source.destroy();
  }
}

function csvError(thrown: unknown, file: string): unknown {
  const error = thrown as Partial<CsvError> | null;
  if (!error?.code?.startsWith('CSV_')) return thrown;
  const line = Number(error['lines']);
  const details = { file, line };
  if (error.code === 'CSV_MAX_RECORD_SIZE') {
    return limitExceeded(
      'dataset.line-too-long',
      `A row near line ${line} of ${file} is longer than ${MAX_ROW_LENGTH} characters; is a quote unclosed?`,
      details,
    );
  }
  return invalid('dataset.csv', `${file} is not valid CSV near line ${line}: ${error.message}`, details);
}
