import { createReadStream } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

/** Splits a stream of text into lines, in groups as they arrive. A last line without a line end counts, an empty one not. */
export async function* splitLines(chunks: AsyncIterable<string>): AsyncGenerator<string[]> {
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) yield lines;
  }
  if (rest !== '') yield [rest];
}

/** Lines of a UTF-8 file of ours, in groups. Line ends are `\n`. */
export const readLines = (path: string): AsyncGenerator<string[]> => splitLines(decodeFile(path));

async function* decodeFile(path: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  for await (const bytes of createReadStream(path, { highWaterMark: 2 ** 18 })) yield decoder.write(bytes);
  yield decoder.end();
}
