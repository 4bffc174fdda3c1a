/** @file Errors as RFC 9457 problem details. The only place that knows which error is which HTTP status. */
import { ModelpressError, type ErrorKind } from '@modelpress/core';
import { HttpException } from '@nestjs/common';
import { z } from 'zod';

export const problemSchema = z
  .object({
    type: z.string().describe('`urn:modelpress:` and the code.'),
    title: z.string(),
    status: z.int(),
    code: z.string().describe('Stable name of the exact reason.'),
    detail: z.string().describe('What is wrong, for people.'),
    requestId: z.string(),
    errors: z
      .array(z.object({ field: z.string(), code: z.string(), message: z.string(), line: z.int().optional() }))
      .describe('Every wrong field, where the request was checked as a whole.'),
    details: z.record(z.string(), z.unknown()).describe('Where it lies: field, file, line, node, op.'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problemSchema>;

export const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  limit: 413,
  unsupported: 422,
  // The client went away or the server is stopping: nobody reads this answer.
  cancelled: 503,
  unavailable: 503,
  internal: 500,
};

/** Codes whose kind has another status in general. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  'request.rate-limited': 429,
  'request.media-type': 415,
  'request.range': 416,
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Invalid request',
  401: 'No valid API key',
  403: 'Not allowed',
  404: 'Not found',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  416: 'Range not satisfiable',
  422: 'Unsupported',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Unavailable',
};

/** Refusals of the multipart parser, by its error codes. */
const MULTIPART_CODES: Readonly<Record<string, readonly [ErrorKind, string]>> = {
  FST_REQ_FILE_TOO_LARGE: ['limit', 'upload.too-large'],
  FST_FILES_LIMIT: ['limit', 'upload.too-many-files'],
  FST_FIELDS_LIMIT: ['limit', 'upload.too-many-fields'],
  FST_PARTS_LIMIT: ['limit', 'upload.too-many-parts'],
  FST_INVALID_JSON_FIELD_ERROR: ['invalid', 'upload.options'],
  FST_PROTO_VIOLATION: ['invalid', 'upload.options'],
};

/** Refusals of Fastify and Nest, which reach us as HTTP exceptions, by status. */
const HTTP_REFUSALS: Readonly<Record<number, readonly [ErrorKind, string]>> = {
  404: ['not-found', 'request.no-route'],
  413: ['limit', 'request.too-large'],
  415: ['invalid', 'request.media-type'],
};

/** Any thrown value as one of our errors, with Nest's and Fastify's own refusals recognised. */
export function toModelpressError(thrown: unknown): ModelpressError {
  if (thrown instanceof ModelpressError) return thrown;
  if (thrown instanceof HttpException && thrown.getStatus() < 500) {
    const [kind, code] = HTTP_REFUSALS[thrown.getStatus()] ?? ['invalid', 'request.malformed'];
    return new ModelpressError(kind, code, thrown.message, {}, { cause: thrown });
  }
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') {
    const known = Object.hasOwn(MULTIPART_CODES, thrown.code) ? MULTIPART_CODES[thrown.code] : undefined;
    if (known) return new ModelpressError(known[0], known[1], thrown.message, {}, { cause: thrown });
  }
  return ModelpressError.from(thrown);
}

export const statusOf = ({ kind, code }: ModelpressError): number =>
  (Object.hasOwn(STATUS_OF_CODE, code) ? STATUS_OF_CODE[code] : undefined) ?? STATUS_OF_KIND[kind];

/** The answer for an error. What went wrong inside stays in the log: of a 500 only the request id is told. */
export function toProblem(error: ModelpressError, requestId: string): Problem {
  const status = statusOf(error);
  const { issues = [], ...details } = error.details;
  const hidden = status === 500;
  return {
    type: `urn:modelpress:${error.code}`,
    title: TITLES[status] ?? 'Error',
    status,
    code: error.code,
    detail: hidden ? `Something went wrong on our side. The log has it under request ${requestId}.` : error.message,
    requestId,
    errors: issues.map((issue) => ({ ...issue })),
    details: hidden ? {} : details,
  };
}
