/** @file A recipe, a model and data sets become the stage runs of a job. */
import {
  checkInputs,
  expandSweep,
  goalIssues,
  resolveRecipe,
  throwIfIssues,
  type DatasetInfo,
  type DatasetRole,
  type Manifest,
  type QueueName,
  type Recipe,
  type ResolvedStage,
  type StageDefinitions,
  type StagePreview,
} from '@modelpress/core';
import type { Lane, RunInputs, VariantValues } from '../database/entities';
import { stageKey } from './stage-key';

/** A stored folder as planning sees it. */
export interface PlanFolder {
  readonly artifactId: string;
  readonly digest: string;
}

export interface PlanInput {
  readonly recipe: Recipe;
  readonly definitions: StageDefinitions;
  readonly model?: PlanFolder & { readonly manifest: Manifest };
  /** Further models that teach. */
  readonly teachers: readonly (PlanFolder & { readonly manifest: Manifest })[];
  readonly datasets: Partial<Record<DatasetRole, PlanFolder & { readonly info: DatasetInfo }>>;
}

/** A stage run to find or to make. */
export interface PlannedRun {
  readonly key: string;
  readonly type: string;
  readonly version: number;
  readonly queue: QueueName;
  readonly lane: Lane;
  readonly config: Record<string, unknown>;
  readonly seed: number;
  readonly inputs: RunInputs;
  /** Key of the run whose model it reads; null: the job's model, or none. */
  readonly upstream: string | null;
  /** Key of the run, upstream of it, whose model it is compared with; null: the job's model, or none. */
  readonly baseline: string | null;
}

export interface PlannedStage {
  readonly variant: number;
  readonly stage: string;
  readonly position: number;
  readonly key: string;
}

export interface Plan {
  readonly variants: readonly { readonly values: VariantValues; readonly resolved: readonly ResolvedStage[] }[];
  readonly stages: readonly PlannedStage[];
  /** Distinct by key; a run comes after the one it reads. */
  readonly runs: readonly PlannedRun[];
}

export const previewOf = ({ model, teachers, datasets }: PlanInput): StagePreview => ({
  ...(model === undefined ? {} : { model: model.manifest }),
  teachers: teachers.map(({ manifest }) => manifest),
  datasets: Object.fromEntries(Object.entries(datasets).map(([role, { info }]) => [role, info])),
});

/** @throws ModelpressError `recipe.invalid` or `job.invalid`, with every wrong field in `details.issues`. */
export function planJob(input: PlanInput): Plan {
  const runs = new Map<string, PlannedRun>();
  const stages: PlannedStage[] = [];
  const variants = expandSweep(input.recipe).map(({ settings, recipe }, variant) => {
    const resolved = resolveRecipe(recipe, input.definitions);
    const inputs = previewOf(input);
    throwIfIssues('job.invalid', [...checkInputs(resolved, inputs), ...goalIssues(recipe.goals, resolved, inputs)]);
    const keys = new Map<string, string>();
    for (const stage of resolved) {
      const run = planStage(stage, input, keys);
      runs.set(run.key, run);
      keys.set(stage.id, run.key);
      stages.push({ variant, stage: stage.id, position: stage.index, key: run.key });
    }
    return { values: settings, resolved };
  });
  return { variants, stages, runs: [...runs.values()] };
}

/** `keys`: those of the stages before it in this variant, by stage id. */
function planStage(stage: ResolvedStage, input: PlanInput, keys: ReadonlyMap<string, string>): PlannedRun {
  const { definition, from, seed } = stage;
  const { type, version, queue, needs } = definition;
  const upstream = from === undefined ? null : (keys.get(from) ?? null);
  const model = needs.model !== false && from === undefined ? input.model : undefined;
  const compared = needs.baseline === true;
  const baselineRun = compared && stage.baseline !== undefined ? (keys.get(stage.baseline) ?? null) : null;
  const baseline = compared && baselineRun === null ? input.model : undefined;
  const teachers = needs.teachers && input.teachers.length > 0 ? input.teachers : undefined;
  const roles = [...needs.datasets, ...(needs.optionalDatasets ?? [])];
  const datasets = Object.entries(input.datasets).filter(([role]) => roles.includes(role as DatasetRole));
  const config = stage.config as Record<string, unknown>;
  return {
    key: stageKey({
      type,
      version,
      config,
      seed,
      model: upstream ?? model?.digest ?? null,
      baseline: baselineRun ?? baseline?.digest ?? null,
      teachers: teachers?.map(({ digest }) => digest),
      datasets: Object.fromEntries(datasets.map(([role, { digest }]) => [role, digest])),
    }),
    type,
    version,
    queue,
    lane: definition.lane?.(config) ?? 'cpu',
    config,
    seed,
    inputs: {
      model: model?.artifactId ?? null,
      baseline: baseline?.artifactId ?? null,
      ...(teachers && { teachers: teachers.map(({ artifactId }) => artifactId) }),
      datasets: Object.fromEntries(datasets.map(([role, { artifactId }]) => [role, artifactId])),
    },
    upstream,
    baseline: baselineRun,
  };
}
