/** @file Formats of one example a line. */
import { invalid } from '../../../errors';
import { decodeLines } from '../encoding';
import type { Encoding } from '../encoding';
import type { RawExample } from '../options';
import type { SourceFile } from '../source-file';

/** One unlabelled text a line; empty lines separate documents and are passed over. */
export async function* plainLines(file: SourceFile, encoding: Encoding): AsyncGenerator<RawExample> {
  for await (const { text, line } of numberedLines(file, encoding)) if (text.trim() !== '') yield { text, line };
}

/** `label text` a line. FastText's `__label__` is taken off. */
export async function* labelTextLines(file: SourceFile, encoding: Encoding): AsyncGenerator<RawExample> {
  for await (const { text: row, line } of numberedLines(file, encoding)) {
    if (row.trim() === '') continue;
    const space = row.indexOf(' ');
    if (space <= 0) throw noLabel(file.name, line);
    yield { label: row.slice(0, space).replace(/^__label__/, ''), text: row.slice(space + 1).trim(), line };
  }
}

/** `COARSE:fine question` a line, as TREC. */
export async function* trecLines(
  file: SourceFile,
  encoding: Encoding,
  level: 'coarse' | 'fine',
): AsyncGenerator<RawExample> {
  for await (const { text: row, label, line } of labelTextLines(file, encoding)) {
    const [coarse, fine] = (label ?? '').split(':');
    if (fine === undefined) throw noLabel(file.name, line);
    yield { label: level === 'fine' ? `${coarse}:${fine}` : coarse, text: row, line };
  }
}

/** A file of texts and one of labels, line by line. @throws ModelpressError `dataset.parallel` when one is longer. */
export async function* parallelLines(
  texts: SourceFile,
  labels: SourceFile,
  encoding: Encoding,
): AsyncGenerator<RawExample> {
  const labelLines = numberedLines(labels, encoding);
  try {
    let line = 0;
    for await (const { text } of numberedLines(texts, encoding)) {
      line++;
      const label = await labelLines.next();
      if (label.done) throw uneven(labels.name, texts.name, line);
      yield { text: text.trim(), label: label.value.text.trim(), line };
    }
    if (!(await labelLines.next()).done) throw uneven(texts.name, labels.name, line + 1);
  } finally {
    await labelLines.return(undefined);
  }
}

async function* numberedLines(file: SourceFile, encoding: Encoding): AsyncGenerator<{ text: string; line: number }> {
  let line = 0;
  for await (const lines of decodeLines(file, encoding)) {
    for (const text of lines) yield { text, line: ++line };
  }
}

const noLabel = (file: string, line: number) =>
  invalid('dataset.label-missing', `Line ${line} of ${file} has no label before its text.`, { file, line });

const uneven = (shorter: string, longer: string, line: number) =>
  invalid('dataset.parallel', `${shorter} ends before line ${line}, which ${longer} has.`, { file: shorter, line });
