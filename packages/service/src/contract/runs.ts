/** @file Stage runs, their attempts and why they wait. */
import type { Measurement, Progress, QueueName, SerializedError } from '@modelpress/core';
import type { Lane, RunResult } from '../database/entities';
import type { AttemptState, State, WaitingReason } from '../state/states';
import type { Page, PageRequest } from './page';

export interface AttemptView {
  readonly number: number;
  readonly state: AttemptState;
  readonly workerId: string;
  readonly error: SerializedError | null;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
  readonly peakMemoryBytes: number | null;
}

export interface RunView {
  readonly id: string;
  readonly key: string;
  readonly type: string;
  readonly version: number;
  readonly queue: QueueName;
  readonly lane: Lane;
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly upstreamId: string | null;
  readonly state: State;
  readonly waiting: Waiting | null;
  readonly error: SerializedError | null;
  readonly priority: number;
  readonly progress: Progress | null;
  /** Artifact of the model that it made. */
  readonly outputId: string | null;
  readonly result: RunResult | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface RunDetail extends RunView {
  readonly attempts: readonly AttemptView[];
  readonly measurements: readonly Measurement[];
  /** Jobs that this run belongs to. */
  readonly jobs: readonly string[];
}

/** Why a queued run has not started, in words and for programs. */
export interface Waiting {
  readonly reason: WaitingReason | 'no-worker';
  readonly message: string;
  /** Runs that start before it in its queue, for `worker` and `no-worker`. */
  readonly position?: number;
  /** For `retry-delay`. */
  readonly until?: Date;
}

export interface Runs {
  get(projectId: string, runId: string): Promise<RunDetail>;
  list(
    projectId: string,
    filter?: PageRequest & { readonly state?: State; readonly type?: string },
  ): Promise<Page<RunView>>;
  /** Points of the curves streamed by the run's latest attempt, thinned to at most `limit` (default 2000) per curve. */
  metrics(
    projectId: string,
    runId: string,
    limit?: number,
  ): Promise<readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[]>;
}
