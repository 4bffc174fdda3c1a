import { estimateStages, type StageDefinitions } from '@modelpress/core';
import { In, type DataSource } from 'typeorm';
import type { DryRun, JobDetail, JobInput, Jobs, JobView, Page, PageRequest } from '../contract';
import type { ProjectTransaction, ProjectTransactions } from '../database/project-transaction';
import { JobEntity, JobStageEntity, StageRunEntity, WorkerEntity, type Job, type StageRun } from '../database/entities';
import { conflict, notFound } from '../errors';
import { isId } from '../ids';
import { planJob, previewOf } from '../planner/plan';
import { changeJob, changeRun, runsOf, updateRun } from '../state/machine';
import { admit, afterEnd, isWanted, settleJob, withdraw, type JobEnded } from '../state/progression';
import { isFinal, type State } from '../state/states';
import { jobDetail, jobView } from './job-views';
import { checkOptions, createJob, readyRuns, resolveInput, restartRun } from './job-submission';
import { checkName } from './names';
import { findPage } from './paging';

export class JobService implements Jobs {
  private readonly database: DataSource;

  constructor(
    private readonly transactions: ProjectTransactions,
    private readonly definitions: StageDefinitions,
    private readonly webhooksOn: boolean,
    private readonly ended: JobEnded,
  ) {
    this.database = transactions.database;
  }

  async submit(projectId: string, input: JobInput & { readonly clonedFrom?: string }): Promise<JobDetail> {
    if (input.name !== undefined) checkName(input.name);
    checkOptions(input, this.webhooksOn);
    const planInput = await resolveInput(this.database.manager, projectId, input, this.definitions);
    const plan = planJob(planInput);
    const job = await this.transactions.run(projectId, (tx) =>
      createJob(tx, input, planInput.recipe, plan, this.ended),
    );
    return this.get(projectId, job.id);
  }

  async dryRun(projectId: string, input: JobInput): Promise<DryRun> {
    checkOptions(input, this.webhooksOn);
    const planInput = await resolveInput(this.database.manager, projectId, input, this.definitions);
    const plan = planJob(planInput);
    const keys = In(plan.runs.map(({ key }) => key));
    const existing = await this.database.manager.findBy(StageRunEntity, { projectId, key: keys });
    const stateOf = new Map(existing.map((run) => [run.key, run.state]));
    const runOf = new Map(plan.runs.map((run) => [run.key, run]));
    const variants = plan.variants.map(({ values, resolved }, variant) => {
      const estimates = new Map(
        estimateStages(resolved, previewOf(planInput)).map(({ stage, estimate, total }) => [
          stage,
          { estimate, total },
        ]),
      );
      const stages = plan.stages
        .filter((stage) => stage.variant === variant)
        .map(({ stage, key }) => {
          const { type, queue, config } = runOf.get(key) ?? { type: '', queue: 'bench' as const, config: {} };
          const expected = estimates.get(stage) ?? { estimate: { notes: [] }, total: {} };
          return { stage, type, queue, config, existing: stateOf.get(key) ?? null, ...expected };
        });
      return { values, stages };
    });
    return { variants, warnings: await this.workerWarnings(plan.runs) };
  }

  async get(projectId: string, jobId: string): Promise<JobDetail> {
    return jobDetail(this.database.manager, await this.row(projectId, jobId));
  }

  list(projectId: string, filter: PageRequest & { readonly state?: State } = {}): Promise<Page<JobView>> {
    const { state, ...page } = filter;
    const where = state === undefined ? { projectId } : { projectId, state };
    return findPage(this.database, JobEntity, where, page, (rows) => rows.map(jobView));
  }

  cancel(projectId: string, jobId: string): Promise<JobDetail> {
    return this.change(projectId, jobId, async (tx, job) => {
      const cancelled = await changeJob(tx, job, 'cancel');
      for (const run of await runsOf(tx, job.id)) {
        if (isFinal(run.state) || (await isWanted(tx, run, job.id, 'count-paused'))) continue;
        await this.stop(tx, run, 'cancel');
      }
      await this.ended(tx, cancelled);
      await admit(tx);
    });
  }

  pause(projectId: string, jobId: string): Promise<JobDetail> {
    return this.change(projectId, jobId, async (tx, job) => {
      await changeJob(tx, job, 'pause');
      for (const run of await runsOf(tx, job.id)) {
        if (run.state !== 'queued' && run.state !== 'running') continue;
        if (await isWanted(tx, run, job.id, 'ignore-paused')) continue;
        await this.stop(tx, run, 'pause');
      }
      await admit(tx);
    });
  }

  resume(projectId: string, jobId: string): Promise<JobDetail> {
    return this.change(projectId, jobId, async (tx, job) => {
      const resumed = await changeJob(tx, job, 'resume');
      await this.takeUp(tx, resumed, ['paused']);
    });
  }

  retry(projectId: string, jobId: string): Promise<JobDetail> {
    return this.change(projectId, jobId, async (tx, job) => {
      const retried = await changeJob(tx, job, 'retry', { error: null });
      await this.takeUp(tx, retried, ['failed', 'cancelled', 'paused']);
    });
  }

  async clone(projectId: string, jobId: string, changes: Partial<JobInput> = {}): Promise<JobDetail> {
    const { name, recipe, modelId, teacherIds, datasets, priority, webhookUrl } = await this.row(projectId, jobId);
    return this.submit(projectId, {
      name,
      recipe,
      teacherIds,
      datasets,
      priority,
      ...(modelId === null ? {} : { modelId }),
      ...(webhookUrl === null ? {} : { webhookUrl }),
      ...changes,
      clonedFrom: jobId,
    });
  }

  async delete(projectId: string, jobId: string): Promise<void> {
    await this.row(projectId, jobId);
    await this.transactions.run(projectId, (tx) => deleteJob(tx, jobId));
  }

  /** Runs of these states start again; a running one that was asked to stop goes on. */
  private async takeUp(tx: ProjectTransaction, job: Job, states: readonly State[]): Promise<void> {
    const runs = await runsOf(tx, job.id);
    for (const run of runs) {
      if (states.includes(run.state)) await restartRun(tx, run, { priority: job.priority });
      else if (run.stopRequest !== null) await updateRun(tx, run, { stopRequest: null });
    }
    const current = runs.some((run) => run.state === 'running') ? await changeJob(tx, job, 'start') : job;
    await readyRuns(tx, current);
    await settleJob(tx, current, this.ended);
  }

  private async stop(tx: ProjectTransaction, run: StageRun, request: 'cancel' | 'pause'): Promise<void> {
    if (run.state === 'running') {
      await updateRun(tx, run, { stopRequest: request });
      tx.signalStop(run.id);
      return;
    }
    // `afterEnd` of a run before it may have cancelled it since it was read.
    const now = await tx.manager.findOneByOrFail(StageRunEntity, { id: run.id });
    if (isFinal(now.state)) return;
    withdraw(tx, now);
    const stopped = await changeRun(tx, now, request);
    if (request === 'cancel') await afterEnd(tx, stopped, this.ended);
  }

  private async change(
    projectId: string,
    jobId: string,
    work: (tx: ProjectTransaction, job: Job) => Promise<void>,
  ): Promise<JobDetail> {
    await this.row(projectId, jobId);
    await this.transactions.run(projectId, async (tx) => {
      const job = await tx.manager.findOneBy(JobEntity, { id: jobId, projectId });
      if (job === null) throw notFound('job', jobId);
      await work(tx, job);
    });
    return this.get(projectId, jobId);
  }

  private async row(projectId: string, jobId: string): Promise<Job> {
    const found = isId(jobId) ? await this.database.manager.findOneBy(JobEntity, { id: jobId, projectId }) : null;
    if (found === null) throw notFound('job', jobId);
    return found;
  }

  private async workerWarnings(runs: readonly { queue: string; lane: string }[]): Promise<string[]> {
    const workers = await this.database.manager.find(WorkerEntity);
    const needed = new Map(runs.map(({ queue, lane }) => [`${queue} (${lane})`, { queue, lane }]));
    return [...needed]
      .filter(
        ([, { queue, lane }]) => !workers.some((row) => row.queue === queue && row.lanes.some((own) => own === lane)),
      )
      .map(([name]) => `No worker serves the queue ${name} at the moment: the job would wait.`);
  }
}

/** Deletes a job that has ended, and its runs that no other job has. */
export async function deleteJob(tx: ProjectTransaction, jobId: string): Promise<void> {
  const job = await tx.manager.findOneBy(JobEntity, { id: jobId });
  if (job === null) return;
  if (!isFinal(job.state)) {
    throw conflict('job.delete', `A ${job.state} job cannot be deleted: cancel it first.`, { id: jobId });
  }
  const runs = await runsOf(tx, jobId);
  await tx.manager.delete(JobEntity, { id: jobId });
  // Last first: a run refers to the one whose model it reads.
  for (const run of runs.reverse()) {
    const others = await tx.manager.countBy(JobStageEntity, { runId: run.id });
    const readers = await tx.manager.countBy(StageRunEntity, { upstreamId: run.id });
    if (others === 0 && readers === 0 && isFinal(run.state)) await tx.manager.delete(StageRunEntity, { id: run.id });
  }
  tx.emit('job.deleted', { jobId }, {});
}
