/** @file The report of a job, written in the transaction that ends it. */
import {
  buildReport,
  recipeVariant,
  resolveRecipe,
  type ReportInput,
  type ReportStage,
  type StageDefinitions,
} from '@modelpress/core';
import { In, type EntityManager } from 'typeorm';
import type { JobReport } from '../contract';
import type { ProjectTransaction } from '../database/project-transaction';
import {
  AttemptEntity,
  DatasetEntity,
  JobStageEntity,
  MeasurementEntity,
  ModelEntity,
  ReportEntity,
  StageRunEntity,
  type Attempt,
  type Job,
  type JobStage,
  type StoredMeasurement,
  type StageRun,
} from '../database/entities';
import { groupBy } from '../collections';
import { insertRows } from '../database/write';
import type { JobEnded } from '../state/progression';

/** What to do when a job ends: write its report and tell its webhook. */
export const endJob =
  (definitions: StageDefinitions): JobEnded =>
  async (tx: ProjectTransaction, job: Job): Promise<void> => {
    const document = await assembleReport(tx.manager, job, definitions);
    await tx.manager.delete(ReportEntity, { jobId: job.id });
    await insertRows(tx.manager, ReportEntity, [{ jobId: job.id, document }]);
    if (job.webhookUrl !== null) {
      const { id, name, state, error } = job;
      const body = { event: 'job.ended', job: { id, name, state, error, goalsReached: document.goalsReached } };
      tx.send({ kind: 'webhook', url: job.webhookUrl, projectId: tx.project.id, body });
    }
  };

async function assembleReport(manager: EntityManager, job: Job, definitions: StageDefinitions): Promise<JobReport> {
  const stages = await manager.find(JobStageEntity, {
    where: { jobId: job.id },
    order: { variant: 'ASC', position: 'ASC' },
  });
  const facts = await loadFacts(manager, job, stages);
  const variants = job.variants.map((values, variant) => {
    const recipe = recipeVariant(job.recipe, values);
    const resolved = new Map(resolveRecipe(recipe, definitions).map((stage) => [stage.id, stage]));
    const input: ReportInput = {
      job: jobOf(job),
      ...facts.model,
      datasets: facts.datasets,
      recipe,
      stages: stages
        .filter((stage) => stage.variant === variant)
        .map((stage) => {
          const { from, definition } = resolved.get(stage.stage) ?? {};
          return stageOf(stage, from, definition?.makesModel ?? false, facts);
        }),
    };
    return { variant, values, report: buildReport(input) };
  });
  const goalsReached = variants.every(({ report }) => report.goals.every(({ passed }) => passed));
  return { jobId: job.id, goalsReached: goalsReached && job.state === 'succeeded', variants };
}

interface Facts {
  readonly model: Pick<ReportInput, 'model'>;
  readonly datasets: ReportInput['datasets'];
  readonly runs: ReadonlyMap<string, StageRun>;
  readonly measurements: ReadonlyMap<string, readonly StoredMeasurement[]>;
  readonly attempts: ReadonlyMap<string, readonly Attempt[]>;
}

async function loadFacts(manager: EntityManager, job: Job, stages: readonly JobStage[]): Promise<Facts> {
  const ids = In([...new Set(stages.map(({ runId }) => runId))]);
  const runs = await manager.findBy(StageRunEntity, { id: ids });
  const measurements = await manager.find(MeasurementEntity, { where: { runId: ids }, order: { id: 'ASC' } });
  const attempts = await manager.find(AttemptEntity, { where: { runId: ids }, order: { number: 'ASC' } });
  const model = job.modelId === null ? null : await manager.findOneBy(ModelEntity, { id: job.modelId });
  const datasets = await manager.findBy(DatasetEntity, { id: In(Object.values(job.datasets)) });
  return {
    model: model === null ? {} : { model: modelOf(model.name, model.manifest) },
    datasets: Object.entries(job.datasets).flatMap(([role, id]) => {
      const dataset = datasets.find((row) => row.id === id);
      if (dataset === undefined) return [];
      const rows = Object.fromEntries(Object.entries(dataset.info.splits).map(([split, { rows }]) => [split, rows]));
      return [{ role, name: dataset.name, rows }];
    }),
    runs: new Map(runs.map((run) => [run.id, run])),
    measurements: groupBy(measurements, ({ runId }) => runId),
    attempts: groupBy(attempts, ({ runId }) => runId),
  };
}

const modelOf = (name: string, manifest: { architecture: string; parameters: { total: number } }) => ({
  name,
  architecture: manifest.architecture,
  parameters: manifest.parameters.total,
});

const jobOf = ({ id, name, state, createdAt, startedAt, finishedAt }: Job): ReportInput['job'] => ({
  id,
  name,
  state,
  createdAt: createdAt.toISOString(),
  ...(startedAt === null ? {} : { startedAt: startedAt.toISOString() }),
  ...(finishedAt === null ? {} : { finishedAt: finishedAt.toISOString() }),
});

function stageOf(stage: JobStage, from: string | undefined, makesModel: boolean, facts: Facts): ReportStage {
  const run = facts.runs.get(stage.runId);
  const attempts = facts.attempts.get(stage.runId) ?? [];
  const done = attempts.findLast((attempt) => attempt.state === 'succeeded');
  const seconds =
    done === undefined || done.finishedAt === null
      ? undefined
      : (done.finishedAt.getTime() - done.startedAt.getTime()) / 1000;
  return {
    id: stage.stage,
    type: run?.type ?? '',
    ...(from === undefined ? {} : { from }),
    makesModel,
    state: run?.state ?? 'cancelled',
    ...(seconds === undefined ? {} : { seconds }),
    attempts: attempts.length,
    reused: stage.reused,
    config: run?.config ?? {},
    measurements: (facts.measurements.get(stage.runId) ?? []).map(({ document }) => document),
    sections: [...(run?.result?.sections ?? [])],
    warnings: [...(run?.result?.warnings ?? [])],
    ...(run?.error === null || run?.error === undefined ? {} : { error: run.error.message }),
  };
}
