/** @file A recipe's stages with names, settings and sources filled in: the DAG that a job runs. */
import type { FieldIssue } from '../errors';
import { throwIfIssues, zodFieldIssues } from '../issues';
import type { StageDefinition } from '../stages/stage';
import type { Recipe } from './recipe';

/** `from: model` reads the job's own model; no stage may have this id. */
export const JOB_MODEL = 'model';

export type StageDefinitions = Readonly<Record<string, StageDefinition>>;

/** A stage that is ready to be planned. */
export interface ResolvedStage {
  readonly id: string;
  /** Place in the recipe's list, for field paths. */
  readonly index: number;
  readonly definition: StageDefinition;
  /** Stage whose model it reads; undefined: the job's model. */
  readonly from: string | undefined;
  /** Stage whose model it is compared with; undefined: the job's model. */
  readonly baseline: string | undefined;
  /** Checked by the definition's schema, defaults filled in. */
  readonly config: unknown;
  readonly seed: number;
}

type RecipeStage = Recipe['stages'][number];
type NamedStage = RecipeStage & { readonly id: string };

/** The stages with default ids: the type, numbered from 2 where it repeats or is taken (`prune`, `prune-2`). */
export function nameStages(stages: readonly RecipeStage[]): NamedStage[] {
  const taken = new Set([JOB_MODEL, ...stages.flatMap((stage) => stage.id ?? [])]);
  return stages.map((stage) => {
    if (stage.id !== undefined) return { ...stage, id: stage.id };
    let id = stage.type;
    for (let number = 2; taken.has(id); number++) id = `${stage.type}-${number}`;
    taken.add(id);
    return { ...stage, id };
  });
}

/**
 * Checks a recipe's stages against the known stage types and orders them so that each comes after the stage it reads;
 * otherwise the recipe's order is kept.
 * @throws ModelpressError `recipe.invalid` with every wrong field: unknown type, wrong config, repeated id, unknown or
 * model-less `from`, `from` where no model is read, cycle.
 */
export function resolveRecipe(recipe: Recipe, definitions: StageDefinitions): ResolvedStage[] {
  const stages = nameStages(recipe.stages);
  const lookup = (type: string): StageDefinition | undefined =>
    Object.hasOwn(definitions, type) ? definitions[type] : undefined;
  const makesModel = (stage: RecipeStage): boolean => lookup(stage.type)?.makesModel === true;

  const known = Object.keys(definitions).sort().join(', ');
  const issues: FieldIssue[] = [...idIssues(stages), ...sourceIssues(recipe.baseline, stages, makesModel)];
  const resolved = stages.map((stage, index): ResolvedStage | undefined => {
    const definition = lookup(stage.type);
    if (definition === undefined) {
      const message = `There is no stage type "${stage.type}"; known: ${known}.`;
      issues.push({ field: `stages[${index}].type`, code: 'unknown-stage', message });
      return undefined;
    }
    const config = definition.schema.safeParse(stage.config);
    if (!config.success) issues.push(...zodFieldIssues(config.error, ['stages', index, 'config']));
    if (stage.from !== undefined && definition.needs.model === false) {
      const message = `A ${stage.type} stage reads no model.`;
      issues.push({ field: `stages[${index}].from`, code: 'from-unused', message });
    }
    const from = definition.needs.model === false ? undefined : sourceOf(stages, index, makesModel);
    const seed = stage.seed ?? recipe.seed;
    return { id: stage.id, index, definition, from, baseline: undefined, config: config.data, seed };
  });
  throwIfIssues('recipe.invalid', issues);
  return withBaseline(inOrder(resolved.filter((stage) => stage !== undefined)), recipe.baseline);
}

/** `stages` in order. Those that descend from the baseline's model are compared with it, the others with the job's. */
function withBaseline(stages: readonly ResolvedStage[], baseline: string | undefined): ResolvedStage[] {
  const descendants = new Set([baseline]);
  return stages.map((stage) => {
    if (stage.from === undefined || !descendants.has(stage.from)) return stage;
    descendants.add(stage.id);
    return { ...stage, baseline };
  });
}

/** Id of the stage that stage `index` reads: its `from`, else the last one before it that makes a model. */
function sourceOf(
  stages: readonly NamedStage[],
  index: number,
  makesModel: (stage: RecipeStage) => boolean,
): string | undefined {
  const from = stages[index]?.from;
  if (from !== undefined) return from === JOB_MODEL ? undefined : from;
  return stages.slice(0, index).findLast(makesModel)?.id;
}

function idIssues(stages: readonly NamedStage[]): FieldIssue[] {
  const seen = new Set<string>();
  return stages.flatMap(({ id }, index): FieldIssue[] => {
    const field = `stages[${index}].id`;
    if (id === JOB_MODEL)
      return [{ field, code: 'reserved-id', message: `"${JOB_MODEL}" stands for the job's model: choose another id.` }];
    if (seen.has(id)) return [{ field, code: 'repeated-id', message: `Two stages have the id "${id}".` }];
    seen.add(id);
    return [];
  });
}

/** Wrong ids in `from` of the stages and in `baseline`: the stage must be there and make a model. */
function sourceIssues(
  baseline: string | undefined,
  stages: readonly NamedStage[],
  makesModel: (stage: RecipeStage) => boolean,
): FieldIssue[] {
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  const issue = (name: 'from' | 'baseline', field: string, id: string | undefined): FieldIssue[] => {
    if (id === undefined || id === JOB_MODEL) return [];
    const source = byId.get(id);
    if (source === undefined) return [{ field, code: `unknown-${name}`, message: `There is no stage "${id}".` }];
    if (makesModel(source)) return [];
    return [{ field, code: `${name}-without-model`, message: `Stage "${id}" (${source.type}) makes no model.` }];
  };
  return [
    ...stages.flatMap(({ from }, index) => issue('from', `stages[${index}].from`, from)),
    ...issue('baseline', 'baseline', baseline),
  ];
}

/** Depth-first topological order in list order. @throws ModelpressError `recipe.invalid` naming the stages of a cycle. */
function inOrder(stages: readonly ResolvedStage[]): ResolvedStage[] {
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  const ordered = new Set<ResolvedStage>();
  for (const start of stages) {
    const chain: ResolvedStage[] = [];
    let stage: ResolvedStage | undefined = start;
    while (stage !== undefined && !ordered.has(stage)) {
      const loop = chain.indexOf(stage);
      if (loop !== -1) {
        const names = [...chain.slice(loop), stage].map(({ id }) => id).join(' -> ');
        const message = `These stages read each other's models in a circle: ${names}.`;
        throwIfIssues('recipe.invalid', [{ field: `stages[${stage.index}].from`, code: 'cycle', message }]);
      }
      chain.push(stage);
      stage = stage.from === undefined ? undefined : byId.get(stage.from);
    }
    for (const next of chain.reverse()) ordered.add(next);
  }
  return [...ordered];
}
