/**
 * @file What the API needs of the service. Every method that names a project sees only that project's rows; what does
 * not exist there is `not-found`. Identifiers are UUIDs that rise with time, so lists page by id (newest first).
 */
import type { Readable } from 'node:stream';
import type {
  DatasetInfo,
  DatasetRole,
  Estimate,
  LogLevel,
  Manifest,
  Measurement,
  Progress,
  QueueName,
  Recipe,
  Report,
  SerializedError,
  StageDefinition,
  StageEstimate,
} from '@modelpress/core';
import type { EventKind, Lane, RunResult, VariantValues } from './database/entities';
import type { AttemptState, Role, State, WaitingReason } from './state/states';

/** One page of a list, newest first. `next` is the cursor of the following page. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export interface PageRequest {
  /** `next` of the page before. */
  readonly cursor?: string;
  /** 1 to 200, default 50. */
  readonly limit?: number;
}

export interface ProjectView {
  readonly id: string;
  readonly name: string;
  readonly maxConcurrentRuns: number | null;
  readonly retentionDays: number | null;
  readonly createdAt: Date;
}

export interface KeyView {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly prefix: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Who makes a request. */
export interface Caller {
  readonly projectId: string;
  readonly keyId: string;
  readonly role: Role;
}

export interface Projects {
  create(input: {
    name: string;
    maxConcurrentRuns?: number | null;
    retentionDays?: number | null;
  }): Promise<ProjectView>;
  get(projectId: string): Promise<ProjectView>;
  list(): Promise<readonly ProjectView[]>;
  update(
    projectId: string,
    change: { name?: string; maxConcurrentRuns?: number | null; retentionDays?: number | null },
  ): Promise<ProjectView>;
  /** The project of this name, made if it is missing: the embedded stack's `default`. */
  ensure(name: string): Promise<ProjectView>;
}

export interface Keys {
  /** `secret` is shown once and kept only as a hash. */
  create(projectId: string, input: { name: string; role: Role }): Promise<KeyView & { readonly secret: string }>;
  list(projectId: string): Promise<readonly KeyView[]>;
  revoke(projectId: string, keyId: string): Promise<void>;
  /** @throws ModelpressError `unauthorized` for an unknown or revoked key. */
  authenticate(secret: string): Promise<Caller>;
  /** Makes this very key valid for the project (embedded stack, tests); does nothing if it already is. */
  ensure(projectId: string, input: { name: string; role: Role; secret: string }): Promise<void>;
}

/** One file of a stored folder. */
export interface FileView {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface ModelView {
  readonly id: string;
  readonly name: string;
  readonly artifactId: string;
  readonly digest: string;
  readonly bytes: number;
  readonly manifest: Manifest;
  readonly createdAt: Date;
}

export interface Models {
  /** Stores a checked bundle folder (see core/bundle). The folder may be deleted afterwards. */
  create(projectId: string, input: { name: string; folder: string; manifest: Manifest }): Promise<ModelView>;
  /** Makes the output of a finished stage run a model that new jobs can start from. */
  createFromRun(projectId: string, input: { name: string; runId: string }): Promise<ModelView>;
  get(projectId: string, modelId: string): Promise<ModelView>;
  list(projectId: string, page?: PageRequest): Promise<Page<ModelView>>;
  files(projectId: string, modelId: string): Promise<readonly FileView[]>;
  /** @throws ModelpressError `conflict` while a job refers to it. */
  delete(projectId: string, modelId: string): Promise<void>;
}

export interface DatasetView {
  readonly id: string;
  readonly name: string;
  readonly artifactId: string;
  readonly digest: string;
  readonly bytes: number;
  readonly info: DatasetInfo;
  readonly createdAt: Date;
}

export interface Datasets {
  /** Stores a checked data set folder (dataset.json and JSONL files, see core/text). */
  create(projectId: string, input: { name: string; folder: string; info: DatasetInfo }): Promise<DatasetView>;
  get(projectId: string, datasetId: string): Promise<DatasetView>;
  list(projectId: string, page?: PageRequest): Promise<Page<DatasetView>>;
  files(projectId: string, datasetId: string): Promise<readonly FileView[]>;
  delete(projectId: string, datasetId: string): Promise<void>;
}

export interface RecipeView {
  readonly id: string;
  readonly name: string;
  readonly document: Recipe;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface Recipes {
  /** @throws ModelpressError `recipe.invalid`; `conflict` if the name is taken. */
  create(projectId: string, document: Recipe): Promise<RecipeView>;
  update(projectId: string, recipeId: string, document: Recipe): Promise<RecipeView>;
  get(projectId: string, recipeId: string): Promise<RecipeView>;
  list(projectId: string, page?: PageRequest): Promise<Page<RecipeView>>;
  delete(projectId: string, recipeId: string): Promise<void>;
}

export interface JobInput {
  /** Default: the recipe's name. */
  readonly name?: string;
  /** The recipe itself (already parsed by `recipeSchema`) or the id of a saved one. */
  readonly recipe: Recipe | string;
  readonly modelId?: string;
  readonly datasets: Partial<Record<DatasetRole, string>>;
  /** 0 to 9, higher runs sooner; default 5. */
  readonly priority?: number;
  /** Told by a signed POST when the job ends. */
  readonly webhookUrl?: string;
}

/** A stage of a job, as far as it has come. */
export interface JobStageView {
  readonly variant: number;
  readonly stage: string;
  readonly type: string;
  readonly runId: string;
  readonly reused: boolean;
  readonly state: State;
  readonly waitingFor: WaitingReason | null;
  readonly progress: Progress | null;
  readonly attempts: number;
  readonly error: SerializedError | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface JobView {
  readonly id: string;
  readonly name: string;
  readonly state: State;
  readonly error: SerializedError | null;
  readonly modelId: string | null;
  readonly datasets: Partial<Record<DatasetRole, string>>;
  readonly priority: number;
  readonly clonedFrom: string | null;
  readonly webhookUrl: string | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface JobDetail extends JobView {
  readonly recipe: Recipe;
  readonly variants: readonly VariantValues[];
  readonly stages: readonly JobStageView[];
  /** 0..1 over all its stages. */
  readonly progress: number;
}

/** What a job would do, without queueing anything. */
export interface DryRun {
  readonly variants: readonly {
    readonly values: VariantValues;
    readonly stages: readonly {
      readonly stage: string;
      readonly type: string;
      readonly queue: QueueName;
      readonly config: unknown;
      /** The state of an equal stage run that the job would share; null: it would be new. */
      readonly existing: State | null;
      readonly estimate: Estimate;
      /** Product of the estimates up to and with this stage, relative to the job's model. */
      readonly total: StageEstimate['total'];
    }[];
  }[];
  /** Things that do not stop the job but will make it wait: no worker for a queue. */
  readonly warnings: readonly string[];
}

export interface Jobs {
  /** @throws ModelpressError `recipe.invalid`, `job.invalid` with `details.issues`. */
  submit(projectId: string, input: JobInput): Promise<JobDetail>;
  dryRun(projectId: string, input: JobInput): Promise<DryRun>;
  get(projectId: string, jobId: string): Promise<JobDetail>;
  list(projectId: string, filter?: PageRequest & { readonly state?: State }): Promise<Page<JobView>>;
  /** Also cancels its stage runs that no other live job wants. @throws `conflict` when it has ended. */
  cancel(projectId: string, jobId: string): Promise<JobDetail>;
  pause(projectId: string, jobId: string): Promise<JobDetail>;
  resume(projectId: string, jobId: string): Promise<JobDetail>;
  /** Runs the failed and cancelled stages again; finished ones are kept. */
  retry(projectId: string, jobId: string): Promise<JobDetail>;
  /** A new job of the same recipe and inputs, with changes. */
  clone(projectId: string, jobId: string, changes?: Partial<JobInput>): Promise<JobDetail>;
  /** @throws `conflict` unless it has ended. */
  delete(projectId: string, jobId: string): Promise<void>;
}

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

export interface ArtifactView {
  readonly id: string;
  readonly kind: string;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: Date;
  readonly files: readonly FileView[];
}

export interface Artifacts {
  get(projectId: string, artifactId: string): Promise<ArtifactView>;
  /** One file's bytes. A whole file is checked against its digest while it streams; a range is not. */
  open(
    projectId: string,
    artifactId: string,
    path: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<{ readonly stream: Readable; readonly bytes: number; readonly sha256: string }>;
  /** A link to the object store itself, where it can make one (S3); null for a folder. */
  presign(projectId: string, artifactId: string, path: string): Promise<string | null>;
}

/** The result of a job: one report per variant of its sweep (one in all for a plain job). */
export interface JobReport {
  readonly jobId: string;
  /** Every goal of every variant was reached. */
  readonly goalsReached: boolean;
  readonly variants: readonly { readonly variant: number; readonly values: VariantValues; readonly report: Report }[];
}

export interface Reports {
  /** Written when the job ends (also when it fails or is cancelled). @throws `conflict` before that. */
  get(projectId: string, jobId: string): Promise<JobReport>;
  /** The same figures of several jobs side by side. */
  compare(projectId: string, jobIds: readonly string[]): Promise<JobComparison>;
}

export interface JobComparison {
  readonly jobs: readonly { readonly id: string; readonly name: string }[];
  /** One row per job and variant: its figures by name, with `x`-ratios to the baseline where there is one. */
  readonly rows: readonly {
    readonly jobId: string;
    readonly variant: number;
    readonly values: VariantValues;
    readonly figures: Readonly<Record<string, number>>;
    /** No other row is at least as good in every one of quality, bytes and latency, and better in one. */
    readonly pareto: boolean;
  }[];
}

export interface WorkerView {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly queue: QueueName;
  readonly lanes: readonly Lane[];
  readonly slots: number;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly usedMemoryBytes: number;
  readonly startedAt: Date;
  readonly seenAt: Date;
  readonly runs: number;
}

export interface QueueOverview {
  readonly queues: readonly {
    readonly queue: QueueName;
    readonly waiting: number;
    readonly running: number;
    readonly workers: number;
  }[];
  readonly workers: readonly WorkerView[];
}

export interface QueueStatus {
  /** Counts are of this project; workers serve all projects. */
  overview(projectId: string): Promise<QueueOverview>;
}

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
