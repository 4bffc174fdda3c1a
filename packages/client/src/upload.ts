/** @file Uploads as multipart forms that stream: a file is never in memory as a whole. */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A file to send. */
export interface UploadFile {
  /** Form field: `files`, or the split of a data set's file. */
  readonly field: string;
  /** Name that the server sees; may have folders (`data/weights.bin`). */
  readonly name: string;
  readonly open: () => AsyncIterable<Uint8Array>;
}

/** A file of this machine. */
export const fileFromPath = (path: string, field = 'files', name = basename(path)): UploadFile => ({
  field,
  name,
  open: () => createReadStream(path),
});

/** The files of a folder, without hidden ones and without its subfolders. */
export async function filesFromFolder(folder: string): Promise<UploadFile[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
  return files.map(({ name }) => fileFromPath(join(folder, name))).sort((a, b) => (a.name < b.name ? -1 : 1));
}

export interface MultipartBody {
  readonly contentType: string;
  readonly body: ReadableStream<Uint8Array>;
}

const quoted = (text: string): string => text.replace(/["\r\n]/g, (character) => encodeURIComponent(character));

/** A form of one JSON field `options` and files (RFC 7578). `onProgress` hears the bytes of files sent so far. */
export function multipart(
  options: object,
  files: readonly UploadFile[],
  onProgress: (bytes: number) => void = () => undefined,
): MultipartBody {
  const boundary = `modelpress-${randomBytes(16).toString('hex')}`;
  const head = (disposition: string): Buffer =>
    Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n`);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield head('name="options"');
    yield Buffer.from(`${JSON.stringify(options)}\r\n`);
    let sent = 0;
    for (const { field, name, open } of files) {
      yield head(`name="${quoted(field)}"; filename="${quoted(name)}"`);
      for await (const chunk of open()) {
        yield chunk;
        sent += chunk.byteLength;
        onProgress(sent);
      }
      yield Buffer.from('\r\n');
    }
    yield Buffer.from(`--${boundary}--\r\n`);
  }
  const source = bytes();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await source.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel: async () => void (await source.return(undefined)),
  });
  return { contentType: `multipart/form-data; boundary=${boundary}`, body };
}
