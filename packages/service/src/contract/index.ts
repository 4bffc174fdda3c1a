/**
 * @file What the API needs of the service. Every method that names a project sees only that project's rows; what does
 * not exist there is `not-found`. Identifiers are UUIDs that rise with time, so lists page by id (newest first).
 */
export type { FileView, ArtifactView, Artifacts } from './artifacts';
export type { DatasetView, Datasets } from './datasets';
export type { JobInput, JobStageView, JobView, JobDetail, DryRun, Jobs } from './jobs';
export type { LogView, Logs, EventView, Events } from './logs';
export type { ModelView, Models } from './models';
export type { Page, PageRequest } from './page';
export type { ProjectView, KeyView, Caller, Projects, Keys } from './projects';
export type { WorkerView, QueueOverview, QueueStatus } from './queue';
export type { RecipeView, Recipes } from './recipes';
export type { JobReport, Reports, JobComparison } from './reports';
export type { AttemptView, RunView, RunDetail, Waiting, Runs } from './runs';
export type { Idempotency, Readiness, Service } from './service';
