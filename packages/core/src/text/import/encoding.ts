import { isAscii, isUtf8 } from 'node:buffer';
import { invalid, limitExceeded } from '../../errors';
import { splitLines } from '../lines';
import { MAX_ROW_LENGTH } from './limits';
import type { SourceFile } from './source-file';

/** Text encodings that a file can be in. `latin1` is read as its superset windows-1252. */
export const ENCODINGS = ['utf-8', 'utf-16le', 'utf-16be', 'latin1'] as const;
export type Encoding = (typeof ENCODINGS)[number];

/**
 * Tells a file's encoding: by its byte order mark, else UTF-8 where all of it is valid, else latin1 where no line with
 * other than ASCII characters is.
 * @throws ModelpressError `dataset.encoding` where some lines are UTF-8 and others not, `dataset.binary` for zero bytes.
 */
export async function detectEncoding(file: SourceFile): Promise<Encoding> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let first = true;
  try {
    for await (const chunk of file.open()) {
      const marked = first ? byteOrderMark(chunk) : undefined;
      if (marked !== undefined) return marked;
      first = false;
      if (chunk.includes(0))
        throw invalid('dataset.binary', `${file.name} is not text: it holds a zero byte.`, { file: file.name });
      decoder.decode(chunk, { stream: true });
    }
    decoder.decode();
    return 'utf-8';
  } catch (error) {
    if (!isDecodingError(error)) throw error;
    await requireNoUtf8(file);
    return 'latin1';
  }
}

const LINE_FEED = 10;

/** A file of some other encoding has no line that happens to be UTF-8; one that has is damaged UTF-8. */
async function requireNoUtf8(file: SourceFile): Promise<void> {
  let line = 0;
  let utf8Lines = 0;
  let badLine = 0;
  let rest: Uint8Array = new Uint8Array();
  const judge = (bytes: Uint8Array): void => {
    line++;
    if (isAscii(bytes)) return;
    if (isUtf8(bytes)) utf8Lines++;
    else badLine ||= line;
  };
  for await (const chunk of file.open()) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      judge(bytes.subarray(start, end));
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > MAX_ROW_LENGTH) {
      throw limitExceeded('dataset.line-too-long', `Line ${line + 1} of ${file.name} is not UTF-8 and too long.`, {
        file: file.name,
        line: line + 1,
      });
    }
  }
  judge(rest);
  if (utf8Lines === 0) return;
  throw invalid(
    'dataset.encoding',
    `Line ${badLine} of ${file.name} is not UTF-8, while other lines are. Repair it or state the encoding.`,
    { file: file.name, line: badLine, field: 'mapping.encoding' },
  );
}

function byteOrderMark(bytes: Uint8Array): Encoding | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  return undefined;
}

/** The text of a file, without byte order mark. @throws ModelpressError `dataset.encoding` for bytes that do not fit. */
export async function* decode(file: SourceFile, encoding: Encoding): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding === 'latin1' ? 'windows-1252' : encoding, { fatal: true });
  try {
    for await (const bytes of file.open()) yield decoder.decode(bytes, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (!isDecodingError(error)) throw error;
    throw invalid('dataset.encoding', `${file.name} is not ${encoding} text.`, {
      file: file.name,
      field: 'mapping.encoding',
    });
  }
}

/** The lines of a file, in groups. @throws ModelpressError `dataset.encoding`, `dataset.line-too-long`. */
export const decodeLines = (file: SourceFile, encoding: Encoding): AsyncGenerator<string[]> =>
  splitLines(decode(file, encoding), { file: file.name, maxLength: MAX_ROW_LENGTH });

const isDecodingError = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException | null)?.code === 'ERR_ENCODING_INVALID_ENCODED_DATA';
