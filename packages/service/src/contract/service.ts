/** @file Everything together. */
import type { StageDefinition } from '@modelpress/core';
import type { Artifacts } from './artifacts';
import type { Datasets } from './datasets';
import type { Jobs } from './jobs';
import type { Logs, Events } from './logs';
import type { Models } from './models';
import type { Projects, Keys } from './projects';
import type { QueueStatus } from './queue';
import type { Recipes } from './recipes';
import type { Reports } from './reports';
import type { Runs } from './runs';

export interface Idempotency {
  /**
   * Runs `work` once per key: a repeat of the same request gets the first answer.
   * @throws ModelpressError `conflict` for the same key with another request, or while the first is being answered.
   */
  once<T extends { readonly status: number; readonly body: unknown }>(
    projectId: string,
    key: string,
    fingerprint: string,
    work: () => Promise<T>,
  ): Promise<{ readonly status: number; readonly body: unknown; readonly replayed: boolean }>;
}

export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<
    Record<'database' | 'queue' | 'objects', { readonly ok: boolean; readonly message: string }>
  >;
}

/** Everything an API process needs. Made by `openService`. */
export interface Service {
  readonly stages: Readonly<Record<string, StageDefinition>>;
  readonly projects: Projects;
  readonly keys: Keys;
  readonly models: Models;
  readonly datasets: Datasets;
  readonly recipes: Recipes;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly logs: Logs;
  readonly events: Events;
  readonly artifacts: Artifacts;
  readonly reports: Reports;
  readonly queue: QueueStatus;
  readonly idempotency: Idempotency;
  /** Prometheus text. */
  metrics(): Promise<string>;
  readiness(): Promise<Readiness>;
  /** An empty folder for an upload; `remove` deletes it and what is in it. */
  scratch(): Promise<{ readonly path: string; remove(): Promise<void> }>;
  close(): Promise<void>;
}
