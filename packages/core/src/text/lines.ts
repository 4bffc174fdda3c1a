import { createReadStream } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { limitExceeded } from '../errors';

/** Bounds of `splitLines` and the name of the file, for its error. */
export interface LineLimit {
  readonly file: string;
  /** Longest line in UTF-16 units. */
  readonly maxLength: number;
}

/**
 * Splits a stream of text into lines, in groups as they arrive; a `\r` before the line end is dropped. A last line
 * without a line end counts, an empty one not.
 * @throws ModelpressError `dataset.line-too-long` with file and line.
 */
export async function* splitLines(chunks: AsyncIterable<string>, limit?: LineLimit): AsyncGenerator<string[]> {
  let rest = '';
  let done = 0;
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (let i = 0; i < lines.length; i++) {
      if (limit && lines[i].length > limit.maxLength) throw tooLong(limit, done + i + 1);
      if (lines[i].endsWith('\r')) lines[i] = lines[i].slice(0, -1);
    }
    done += lines.length;
    if (lines.length > 0) yield lines;
    if (limit && rest.length > limit.maxLength) throw tooLong(limit, done + 1);
  }
  if (rest !== '') yield [rest.endsWith('\r') ? rest.slice(0, -1) : rest];
}

const tooLong = ({ file, maxLength }: LineLimit, line: number) =>
  limitExceeded('dataset.line-too-long', `Line ${line} of ${file} is longer than ${maxLength} characters.`, {
    file,
    line,
  });

/** Lines of a UTF-8 file of ours, in groups. */
export const readLines = (path: string): AsyncGenerator<string[]> => splitLines(decodeFile(path));

async function* decodeFile(path: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  for await (const bytes of createReadStream(path, { highWaterMark: 2 ** 18 })) yield decoder.write(bytes);
  yield decoder.end();
}
