/** @file Jobs: submitting, following, steering. */
import type {
  DatasetRole,
  Estimate,
  Progress,
  QueueName,
  Recipe,
  SerializedError,
  StageEstimate,
} from '@modelpress/core';
import type { VariantValues } from '../database/entities';
import type { State, WaitingReason } from '../state/states';
import type { Page, PageRequest } from './page';

export interface JobInput {
  /** Default: the recipe's name. */
  readonly name?: string;
  /** The recipe itself (already parsed by `recipeSchema`) or the id of a saved one. */
  readonly recipe: Recipe | string;
  readonly modelId?: string;
  /** Further models that teach beside the model: `distill` mixes their logits. */
  readonly teacherIds?: readonly string[];
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
  readonly teacherIds: readonly string[];
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
