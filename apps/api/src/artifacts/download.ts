/** @file File downloads: ETag, If-None-Match, Range (RFC 9110). */
import type { Readable } from 'node:stream';
import { ModelpressError } from '@modelpress/core';
import type { FileView } from '@modelpress/service';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** A Content-Disposition that any browser and curl -OJ read; other characters than plain ones become `_`. */
export const attachment = (name: string): string => `attachment; filename="${name.replace(/[^A-Za-z0-9._-]+/g, '_')}"`;

export interface ByteRange {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

/**
 * Reads a Range header. Undefined: send everything (no range, several ranges, another unit, or nonsense, as RFC 9110
 * allows).
 * @throws ModelpressError `request.range` when the range lies outside the file.
 */
export function parseRange(header: string | undefined, bytes: number): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const [first, last] = [match[1] ?? '', match[2] ?? ''];
  // `-n`: the last n bytes.
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  if (start > end) {
    const message = `The file has ${bytes} bytes; the range "${header}" lies outside.`;
    throw new ModelpressError('invalid', 'request.range', message, { field: 'Range', bytes });
  }
  return { start, end };
}

type OpenFile = (range?: ByteRange) => Promise<{ readonly stream: Readable }>;

/** Whether an If-None-Match or If-Range header names this tag. */
const names = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag));

/** Answers with a file or the part of it that was asked for. */
export async function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  { path, sha256, bytes }: FileView,
  open: OpenFile,
): Promise<void> {
  const etag = `"${sha256}"`;
  const { 'if-none-match': ifNoneMatch, 'if-range': ifRange, range: rangeHeader } = request.headers;
  void reply
    .header('etag', etag)
    .header('accept-ranges', 'bytes')
    .header('cache-control', 'private, max-age=31536000, immutable')
    .header('content-disposition', attachment(path.split('/').at(-1) ?? path));
  if (names(ifNoneMatch, etag)) {
    await reply.status(304).send();
    return;
  }
  const useRange = typeof ifRange !== 'string' || names(ifRange, etag);
  const range = useRange ? rangeOf(rangeHeader, bytes, reply) : undefined;
  const length = range === undefined ? bytes : range.end - range.start + 1;
  void reply.header('content-type', 'application/octet-stream').header('content-length', length);
  if (range !== undefined) void reply.status(206).header('content-range', `bytes ${range.start}-${range.end}/${bytes}`);
  await reply.send((await open(range)).stream);
}

function rangeOf(header: string | undefined, bytes: number, reply: FastifyReply): ByteRange | undefined {
  try {
    return parseRange(header, bytes);
  } catch (error) {
    void reply.header('content-range', `bytes */${bytes}`).removeHeader('etag').removeHeader('content-disposition');
    throw error;
  }
}
