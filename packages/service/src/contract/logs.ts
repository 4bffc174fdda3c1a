/** @file What stage runs say, and what happens: as lists and as streams. */
import type { LogLevel } from '@modelpress/core';
import type { EventKind } from '../database/entities';

export interface LogView {
  readonly id: number;
  readonly attempt: number;
  readonly time: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Logs {
  /** Lines after an id, oldest first; at most `limit` (default 1000). */
  list(
    projectId: string,
    runId: string,
    after?: { readonly after?: number; readonly limit?: number; readonly level?: LogLevel },
  ): Promise<readonly LogView[]>;
  /** Lines as they come, until the run has ended or the signal fires. */
  follow(projectId: string, runId: string, after: number, signal: AbortSignal): AsyncIterable<LogView>;
}

/** `id` rises in the order in which events can be seen; give the last one back as Last-Event-ID. */
export interface EventView {
  readonly id: number;
  readonly kind: EventKind;
  readonly jobId: string | null;
  readonly runId: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly time: Date;
}

export interface Events {
  /** Events after an id (0: from the beginning), then those to come, until the signal fires. */
  subscribe(
    projectId: string,
    scope: { readonly jobId?: string; readonly after?: number },
    signal: AbortSignal,
  ): AsyncIterable<EventView>;
}
