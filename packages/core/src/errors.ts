/**
 * What went wrong, for programs. `kind` decides how a caller reacts (the API maps it to an HTTP status, a worker to
 * "retry" or "give up"); `code` names the exact reason and is stable across releases.
 */
export type ErrorKind =
  /** The request, file or configuration is wrong: repeating it cannot help. */
  | 'invalid'
  /** Well-formed, but outside what modelpress can do (an op without a gradient rule, a control-flow body). */
  | 'unsupported'
  | 'not-found'
  /** The thing exists but its present state does not allow this. */
  | 'conflict'
  /** A size, count or memory bound was exceeded. */
  | 'limit'
  | 'unauthorized'
  | 'forbidden'
  | 'cancelled'
  /** Something outside did not answer (database, queue, object store): repeating it may help. */
  | 'unavailable'
  /** A bug, or a crash of a stage's child process. */
  | 'internal';

/** One wrong field of a request, recipe or configuration. */
export interface FieldIssue {
  /** Path in the input, e.g. `stages[1].config.target`; empty for the input as a whole. */
  readonly field: string;
  readonly code: string;
  readonly message: string;
  /** Line of the text it was parsed from, counted from 1. */
  readonly line?: number;
}

/** Where in the input the error lies; every field that is known is filled in. */
export interface ErrorDetails {
  /** Path of the offending field in the request or recipe, e.g. `stages[1].config.target`. */
  readonly field?: string;
  /** Name of the graph node. */
  readonly node?: string;
  /** Operator type of the graph node. */
  readonly op?: string;
  /** File inside an upload or bundle, with `line` counted from 1 where it has lines. */
  readonly file?: string;
  readonly line?: number;
  /** Training step (counted from 1) at which it happened. */
  readonly step?: number;
  /** Every wrong field, where an input was checked as a whole; `field` and `line` are the first one's. */
  readonly issues?: readonly FieldIssue[];
  /** Further facts that a program may want; must be JSON. */
  readonly [fact: string]: unknown;
}

/** Every error that modelpress raises on purpose. */
export class ModelpressError extends Error {
  override readonly name: string = 'ModelpressError';

  constructor(
    readonly kind: ErrorKind,
    /** Stable, lower-case, dotted: `<area>.<reason>`, e.g. `onnx.external-data-outside`. */
    readonly code: string,
    message: string,
    readonly details: ErrorDetails = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  toJSON(): SerializedError {
    return { kind: this.kind, code: this.code, message: this.message, details: this.details };
  }

  /** Turns anything thrown into a ModelpressError; foreign errors become `internal` and keep their cause. */
  static from(thrown: unknown): ModelpressError {
    if (thrown instanceof ModelpressError) return thrown;
    if (thrown instanceof Error && thrown.name === 'AbortError') return cancelled(thrown);
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new ModelpressError('internal', 'internal.unexpected', message, {}, { cause: thrown });
  }

  /** Rebuilds an error that crossed a process boundary as JSON. */
  static fromJSON(json: SerializedError): ModelpressError {
    return new ModelpressError(json.kind, json.code, json.message, json.details);
  }
}

/** JSON form of an error, used between processes and in the database. */
export interface SerializedError {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  readonly details: ErrorDetails;
}

export const invalid = (code: string, message: string, details?: ErrorDetails): ModelpressError =>
  new ModelpressError('invalid', code, message, details);

export const unsupported = (code: string, message: string, details?: ErrorDetails): ModelpressError =>
  new ModelpressError('unsupported', code, message, details);

export const limitExceeded = (code: string, message: string, details?: ErrorDetails): ModelpressError =>
  new ModelpressError('limit', code, message, details);

export const cancelled = (cause?: unknown): ModelpressError =>
  new ModelpressError('cancelled', 'cancelled', 'The work was cancelled.', {}, { cause });

/** Raises `cancelled` if the signal has fired. Call it between units of long work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal.reason);
}
