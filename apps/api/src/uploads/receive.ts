/** @file Multipart uploads onto disk: streamed, bounded, hashed on the way. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { invalid, limitExceeded, ModelpressError } from '@modelpress/core';
import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';

export interface ReceivedFile {
  /** Name of the form field that it came in. */
  readonly field: string;
  /** Name as sent; inside the target folder it lies at this path. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Upload {
  readonly fields: Readonly<Record<string, string>>;
  readonly files: readonly ReceivedFile[];
}

export interface UploadLimits {
  readonly maxUploadBytes: number;
  readonly maxUploadFiles: number;
}

const MAX_FIELDS = 20;
const MAX_FIELD_BYTES = 64 * 1024;

/** A file name as it may lie in a folder of ours: up to three plain segments and 100 characters, none hidden, none leading upwards. */
const FILE_NAME = /^(?!.{101})([A-Za-z0-9_-][A-Za-z0-9_. -]*)(\/[A-Za-z0-9_-][A-Za-z0-9_. -]*){0,2}$/;

/**
 * Writes the files of a multipart request below `folder` and gathers its text fields.
 * @throws ModelpressError `request.media-type`, `upload.*` (name, repeated, empty, too large, too many, truncated).
 */
export async function receiveUpload(request: FastifyRequest, folder: string, limits: UploadLimits): Promise<Upload> {
  if (!request.isMultipart()) {
    const message = 'Uploads are sent as multipart/form-data.';
    throw invalid('request.media-type', message, { field: 'Content-Type' });
  }
  const fields: Record<string, string> = {};
  const files: ReceivedFile[] = [];
  const budget = { left: limits.maxUploadBytes, max: limits.maxUploadBytes };
  const parts = request.parts({
    preservePath: true,
    limits: {
      fieldSize: MAX_FIELD_BYTES,
      fields: MAX_FIELDS,
      files: limits.maxUploadFiles,
      parts: MAX_FIELDS + limits.maxUploadFiles,
      // The budget below is for all files together and names the file that exceeds it.
      fileSize: Infinity,
    },
  });
  try {
    for await (const part of parts) {
      if (part.type === 'file') files.push(await receiveFile(part, folder, budget, files));
      else fields[part.fieldname] = fieldText(part.fieldname, part.value, part.valueTruncated);
    }
  } catch (error) {
    throw asRefusal(error);
  }
  if (files.length === 0) throw invalid('upload.empty', 'The upload has no file.', { field: 'files' });
  return { fields, files };
}

async function receiveFile(
  part: MultipartFile,
  folder: string,
  budget: { left: number; readonly max: number },
  before: readonly ReceivedFile[],
): Promise<ReceivedFile> {
  const { fieldname: field, filename: name } = part;
  if (!FILE_NAME.test(name)) {
    const message = `"${name.slice(0, 100)}" is not a plain file name (letters, digits, . _ - and at most two folders).`;
    throw invalid('upload.file-name', message, { field });
  }
  // Some file systems take README and readme for the same.
  if (before.some((file) => file.name.toLowerCase() === name.toLowerCase()))
    throw invalid('upload.repeated-file', `Two files are called "${name}".`, { field, file: name });
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  const hash = createHash('sha256');
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.byteLength;
      budget.left -= chunk.byteLength;
      if (budget.left < 0) {
        const message = `The upload has more than the ${budget.max} bytes allowed.`;
        done(limitExceeded('upload.too-large', message, { field, file: name, maxBytes: budget.max }));
        return;
      }
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(part.file, count, createWriteStream(path, { flags: 'wx' }));
  if (bytes === 0) throw invalid('upload.empty-file', `The file "${name}" is empty.`, { field, file: name });
  return { field, name, path, bytes, sha256: hash.digest('hex') };
}

function fieldText(field: string, value: unknown, truncated: boolean): string {
  if (truncated) throw limitExceeded('upload.field', `The field has more than ${MAX_FIELD_BYTES} bytes.`, { field });
  // A part of type application/json is parsed already.
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Errors of the multipart parser: the body ends early or is no multipart at all. */
function asRefusal(error: unknown): unknown {
  if (error instanceof ModelpressError || !(error instanceof Error)) return error;
  const code = 'code' in error ? String(error.code) : '';
  if (code.startsWith('FST_') && code !== 'FST_MP_PREMATURE_CLOSE') return error;
  if (/unexpected end|terminated early|premature|malformed|boundary|aborted/i.test(error.message))
    return invalid('upload.truncated', 'The upload ended before it was complete.', { cause: error.message });
  return error;
}
