/** @file A job input becomes rows: the job, its stages, and the stage runs that are not there yet. */
import { checkRecipe, invalid, type DatasetRole, type Recipe, type StageDefinitions } from '@modelpress/core';
import { In, type EntityManager } from 'typeorm';
import type { JobInput } from '../contract';
import type { ProjectTransaction } from '../database/project-transaction';
import {
  ArtifactEntity,
  DatasetEntity,
  JobEntity,
  JobStageEntity,
  ModelEntity,
  RecipeEntity,
  StageRunEntity,
  type Job,
  type StageRun,
} from '../database/entities';
import { insertRows } from '../database/write';
import { isId, newId } from '../ids';
import type { Plan, PlanFolder, PlanInput, PlannedRun } from '../planner/plan';
import { changeJob, changeRun, updateRun } from '../state/machine';
import { admit, markReady, settleJob, withdraw, type JobEnded } from '../state/progression';

const DEFAULT_PRIORITY = 5;

/** Looks up what the input names. @throws ModelpressError `job.invalid` that names the field. */
export async function resolveInput(
  manager: EntityManager,
  projectId: string,
  input: JobInput,
  definitions: StageDefinitions,
): Promise<PlanInput> {
  const datasets: PlanInput['datasets'] = {};
  for (const [role, id] of Object.entries(input.datasets)) {
    const row = isId(id) ? await manager.findOneBy(DatasetEntity, { id, projectId }) : null;
    if (row === null) throw missing(`datasets.${role}`, 'data set', id);
    datasets[role as DatasetRole] = { ...(await folderOf(manager, row.artifactId)), info: row.info };
  }
  const recipe = await recipeOf(manager, projectId, input.recipe);
  const modelOf = async (field: string, id: string): Promise<PlanInput['teachers'][number]> => {
    const row = isId(id) ? await manager.findOneBy(ModelEntity, { id, projectId }) : null;
    if (row === null) throw missing(field, 'model', id);
    return { ...(await folderOf(manager, row.artifactId)), manifest: row.manifest };
  };
  const teachers: PlanInput['teachers'][number][] = [];
  for (const [i, id] of (input.teacherIds ?? []).entries()) teachers.push(await modelOf(`teacherIds[${i}]`, id));
  const model = input.modelId === undefined ? {} : { model: await modelOf('modelId', input.modelId) };
  return { recipe, definitions, datasets, teachers, ...model };
}

async function recipeOf(manager: EntityManager, projectId: string, recipe: Recipe | string): Promise<Recipe> {
  if (typeof recipe !== 'string') return checkRecipe(recipe, ['recipe']);
  const row = isId(recipe) ? await manager.findOneBy(RecipeEntity, { id: recipe, projectId }) : null;
  if (row === null) throw missing('recipe', 'recipe', recipe);
  return row.document;
}

async function folderOf(manager: EntityManager, artifactId: string): Promise<PlanFolder> {
  const { digest } = await manager.findOneByOrFail(ArtifactEntity, { id: artifactId });
  return { artifactId, digest };
}

const missing = (field: string, what: string, id: string) =>
  invalid('job.invalid', `${field}: there is no ${what} ${id}.`, {
    field,
    issues: [{ field, code: 'unknown', message: `There is no ${what} ${id}.` }],
  });

/** @throws ModelpressError `job.invalid` for a priority that is not 0 to 9 or a webhook that is no web address. */
export function checkOptions({ priority, webhookUrl }: JobInput, webhooksOn: boolean): void {
  if (priority !== undefined && (!Number.isInteger(priority) || priority < 0 || priority > 9)) {
    throw invalid('job.invalid', 'priority is a whole number from 0 to 9.', { field: 'priority' });
  }
  if (webhookUrl === undefined) return;
  const usable = URL.canParse(webhookUrl) && ['http:', 'https:'].includes(new URL(webhookUrl).protocol);
  if (!usable) throw invalid('job.invalid', 'webhookUrl is an http or https address.', { field: 'webhookUrl' });
  if (!webhooksOn) {
    const message = 'Webhooks are off on this server: MODELPRESS_WEBHOOK_SECRET is not set.';
    throw invalid('job.webhooks-off', message, { field: 'webhookUrl' });
  }
}

/** Writes the job and everything that follows from it. */
export async function createJob(
  tx: ProjectTransaction,
  input: JobInput & { readonly clonedFrom?: string },
  recipe: Recipe,
  plan: Plan,
  ended: JobEnded,
): Promise<Job> {
  const job: Job = {
    id: newId(),
    projectId: tx.project.id,
    name: input.name ?? recipe.name,
    state: 'queued',
    error: null,
    modelId: input.modelId ?? null,
    teacherIds: input.teacherIds ?? [],
    datasets: { ...input.datasets },
    recipe,
    variants: plan.variants.map(({ values }) => values),
    priority: input.priority ?? DEFAULT_PRIORITY,
    webhookUrl: input.webhookUrl ?? null,
    clonedFrom: input.clonedFrom ?? null,
    createdAt: new Date(),
    startedAt: null,
    finishedAt: null,
  };
  await insertRows(tx.manager, JobEntity, [job]);
  tx.emit('job.created', { jobId: job.id }, { name: job.name, variants: job.variants.length });
  const runs = await attachRuns(tx, job, plan.runs);
  await insertRows(
    tx.manager,
    JobStageEntity,
    plan.stages.map(({ key, ...stage }) => {
      const { run, reused } = runs.get(key) ?? unplanned(key);
      return { jobId: job.id, ...stage, runId: run.id, reused };
    }),
  );
  await readyRuns(tx, job);
  const joinsRunning = [...runs.values()].some(({ run }) => run.state === 'running');
  return settleJob(tx, joinsRunning ? await changeJob(tx, job, 'start') : job, ended);
}

function unplanned(key: string): never {
  throw new Error(`Stage run ${key} is not in the plan.`);
}

interface Attached {
  readonly run: StageRun;
  readonly reused: boolean;
}

/** Finds or makes the planned runs. One that failed, was cancelled or is paused is wanted again now. */
async function attachRuns(
  tx: ProjectTransaction,
  job: Job,
  planned: readonly PlannedRun[],
): Promise<ReadonlyMap<string, Attached>> {
  const existing = await tx.manager.findBy(StageRunEntity, {
    projectId: tx.project.id,
    key: In(planned.map(({ key }) => key)),
  });
  const runs = new Map<string, Attached>();
  for (const run of existing) runs.set(run.key, await wantAgain(tx, run, job.priority, planned));
  const fresh: StageRun[] = [];
  for (const plan of planned) {
    if (runs.has(plan.key)) continue;
    const run = newRun(tx.project.id, plan, (key) => runs.get(key)?.run.id ?? unplanned(key), job.priority);
    fresh.push(run);
    runs.set(plan.key, { run, reused: false });
  }
  await insertRows(tx.manager, StageRunEntity, fresh);
  return runs;
}

async function wantAgain(
  tx: ProjectTransaction,
  run: StageRun,
  priority: number,
  planned: readonly PlannedRun[],
): Promise<Attached> {
  const inputs = { ...run.inputs, ...planned.find(({ key }) => key === run.key)?.inputs };
  if (run.state === 'succeeded') return { run, reused: true };
  if (run.state === 'running') {
    // A stop that was asked for by jobs that no longer count.
    return { run: await updateRun(tx, run, { stopRequest: null }), reused: true };
  }
  if (run.state === 'queued') return { run: await raisePriority(tx, run, priority), reused: true };
  return { run: await restartRun(tx, run, { priority, inputs }), reused: false };
}

/** A run in the queue takes its new place there under a new message, which `admit` sends. */
async function raisePriority(tx: ProjectTransaction, run: StageRun, priority: number): Promise<StageRun> {
  if (priority <= run.priority) return run;
  if (run.waitingFor !== 'worker') return updateRun(tx, run, { priority });
  withdraw(tx, run);
  return updateRun(tx, run, { priority, waitingFor: 'project-limit' });
}

/** Takes a failed, cancelled or paused run back; `readyRuns` then sees whether it can start. */
export async function restartRun(
  tx: ProjectTransaction,
  run: StageRun,
  changes: Partial<Pick<StageRun, 'priority' | 'inputs'>> = {},
): Promise<StageRun> {
  const action = run.state === 'paused' ? 'resume' : 'retry';
  const failures = run.state === 'paused' ? run.failures : 0;
  const queued = await changeRun(tx, run, action, {
    waitingFor: 'stage',
    failures,
    error: null,
    ...(changes.inputs === undefined ? {} : { inputs: changes.inputs }),
  });
  return updateRun(tx, queued, { priority: Math.max(run.priority, changes.priority ?? 0) });
}

/** Lets the job's runs whose input is there into the queue. */
export async function readyRuns(tx: ProjectTransaction, job: Job): Promise<void> {
  const waiting = await tx.manager
    .createQueryBuilder(StageRunEntity, 'run')
    .where(`run.state = 'queued' AND run.waitingFor = 'stage'`)
    .andWhere(`run.id IN (SELECT run_id FROM job_stage WHERE job_id = :job)`, { job: job.id })
    .andWhere(
      `(run.upstreamId IS NULL OR EXISTS
        (SELECT 1 FROM stage_run upstream WHERE upstream.id = run.upstream_id AND upstream.state = 'succeeded'))`,
    )
    .orderBy('run.id')
    .getMany();
  for (const run of waiting) await markReady(tx, run);
  await admit(tx);
}

/** `idOf`: of the runs planned before it, by key. */
const newRun = (projectId: string, plan: PlannedRun, idOf: (key: string) => string, priority: number): StageRun => ({
  id: newId(),
  projectId,
  key: plan.key,
  type: plan.type,
  version: plan.version,
  queue: plan.queue,
  lane: plan.lane,
  config: plan.config,
  seed: plan.seed,
  inputs: plan.baseline === null ? plan.inputs : { ...plan.inputs, baselineRunId: idOf(plan.baseline) },
  upstreamId: plan.upstream === null ? null : idOf(plan.upstream),
  state: 'queued',
  waitingFor: 'stage',
  error: null,
  attempts: 0,
  failures: 0,
  dispatch: 0,
  priority,
  queuedAt: null,
  availableAt: null,
  workerId: null,
  stopRequest: null,
  progress: null,
  outputId: null,
  checkpointId: null,
  result: null,
  createdAt: new Date(),
  startedAt: null,
  finishedAt: null,
});
