import type { DatasetRole } from '@modelpress/core';
import type { DataSource } from 'typeorm';
import type { ArtifactCache, Held } from '../artifacts/cache';
import { StageRunEntity, type StageRun } from '../database/entities';

/** The folders that a stage reads. */
export interface Inputs {
  readonly model: string | null;
  readonly baseline: string | null;
  readonly teachers: readonly string[];
  readonly datasets: Partial<Record<DatasetRole, string>>;
  release(): void;
}

/** Brings a run's inputs to this machine and keeps them until they are released. */
export async function holdInputs(
  database: DataSource,
  cache: ArtifactCache,
  run: StageRun,
  signal: AbortSignal,
): Promise<Inputs> {
  const held: Held[] = [];
  const release = (): void => held.splice(0).forEach((folder) => folder.release());
  const hold = async (artifactId: string | null): Promise<string | null> => {
    if (artifactId === null) return null;
    const folder = await cache.hold(run.projectId, artifactId, signal);
    held.push(folder);
    return folder.path;
  };
  try {
    const model = await hold(run.upstreamId === null ? run.inputs.model : await outputOf(database, run.upstreamId));
    const { baselineRunId } = run.inputs;
    const baseline = await hold(
      baselineRunId === undefined ? run.inputs.baseline : await outputOf(database, baselineRunId),
    );
    const teachers: string[] = [];
    for (const artifactId of run.inputs.teachers ?? []) {
      const path = await hold(artifactId);
      if (path !== null) teachers.push(path);
    }
    const datasets: Partial<Record<DatasetRole, string>> = {};
    for (const [role, artifactId] of Object.entries(run.inputs.datasets)) {
      const path = await hold(artifactId);
      if (path !== null) datasets[role as DatasetRole] = path;
    }
    return { model, baseline, teachers, datasets, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Artifact of the model that a run has made. */
async function outputOf(database: DataSource, id: string): Promise<string | null> {
  return (await database.manager.findOneByOrFail(StageRunEntity, { id })).outputId;
}
