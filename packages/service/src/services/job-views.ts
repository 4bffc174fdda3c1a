import { In, type EntityManager } from 'typeorm';
import type { JobDetail, JobStageView, JobView } from '../contract';
import { JobStageEntity, StageRunEntity, type Job, type JobStage, type StageRun } from '../database/entities';
import { isFinal } from '../state/states';

export const jobView = (job: Job): JobView => ({
  id: job.id,
  name: job.name,
  state: job.state,
  error: job.error,
  modelId: job.modelId,
  teacherIds: job.teacherIds,
  datasets: job.datasets,
  priority: job.priority,
  clonedFrom: job.clonedFrom,
  webhookUrl: job.webhookUrl,
  createdAt: job.createdAt,
  startedAt: job.startedAt,
  finishedAt: job.finishedAt,
});

export async function jobDetail(manager: EntityManager, job: Job): Promise<JobDetail> {
  const rows = await manager.find(JobStageEntity, {
    where: { jobId: job.id },
    order: { variant: 'ASC', position: 'ASC' },
  });
  const runs = await manager.findBy(StageRunEntity, { id: In([...new Set(rows.map(({ runId }) => runId))]) });
  const byId = new Map(runs.map((run) => [run.id, run]));
  const stages = rows.flatMap((row) => {
    const run = byId.get(row.runId);
    return run === undefined ? [] : [stageView(row, run)];
  });
  const done = stages.reduce((sum, { state, progress }) => sum + (isFinal(state) ? 1 : (progress?.fraction ?? 0)), 0);
  return {
    ...jobView(job),
    recipe: job.recipe,
    variants: job.variants,
    stages,
    progress: stages.length === 0 ? 1 : done / stages.length,
  };
}

const stageView = ({ variant, stage, runId, reused }: JobStage, run: StageRun): JobStageView => ({
  variant,
  stage,
  type: run.type,
  runId,
  reused,
  state: run.state,
  waitingFor: run.waitingFor,
  progress: run.progress,
  attempts: run.attempts,
  error: run.error,
  startedAt: run.startedAt,
  finishedAt: run.finishedAt,
});
