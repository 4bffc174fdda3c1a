/** @file How a failure is told: one message, the wrong fields, and the exit code. */
import { ApiError } from '@modelpress/client';
import { ModelpressError } from '@modelpress/core';
import type { ErrorKind, FieldIssue } from '@modelpress/core';
import { EXIT } from './exit-codes';
import type { ExitCode } from './exit-codes';

/** Kinds that mean: the command was given something wrong. */
const USAGE_KINDS: ReadonlySet<ErrorKind> = new Set(['invalid', 'not-found', 'unsupported']);
const USAGE_STATUS = [400, 404, 413, 422];

export interface Failure {
  readonly lines: readonly string[];
  readonly code: ExitCode;
}

/** What to print for anything thrown, and the exit code: 2 for wrong input, 1 for everything else. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof ApiError) {
    const request = thrown.requestId === '' ? [] : [`Request ${thrown.requestId}`];
    const code = USAGE_STATUS.includes(thrown.status) ? EXIT.usage : EXIT.failed;
    return { lines: [thrown.message, ...thrown.errors.map(issueLine), ...(code === EXIT.failed ? request : [])], code };
  }
  const error = ModelpressError.from(thrown);
  const cause = error.code === 'internal.unexpected' && error.cause instanceof Error ? [error.cause.stack ?? ''] : [];
  const issues = error.details.issues ?? [];
  return {
    lines: [error.message, ...(issues.length > 1 ? issues.map(issueLine) : []), ...cause],
    code: USAGE_KINDS.has(error.kind) ? EXIT.usage : EXIT.failed,
  };
}

const issueLine = ({
  field,
  message,
  line,
}: Pick<FieldIssue, 'field' | 'message'> & { line?: number | undefined }): string =>
  `  ${line === undefined ? '' : `line ${line}, `}${field === '' ? '' : `${field}: `}${message}`;
