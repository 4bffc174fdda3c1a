/** @file Sweeps: a recipe with grids becomes one recipe per combination. */
import type { FieldIssue } from '../errors';
import { throwIfIssues } from '../issues';
import type { Recipe } from './recipe';
import { nameStages } from './resolve';

export const MAX_VARIANTS = 256;

export interface RecipeVariant {
  /** The swept values by path, e.g. `{ "prune.config.target": 0.4 }`; empty without a sweep. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The recipe with these values, named stages and no sweep. */
  readonly recipe: Recipe;
}

/**
 * Expands a recipe's grids, the last path varying fastest. Paths: `<stage id>.config.<key>...`, `<stage id>.seed`, `seed`.
 * @throws ModelpressError `recipe.invalid` for an unknown path or more than {@link MAX_VARIANTS} combinations.
 */
export function expandSweep(recipe: Recipe): RecipeVariant[] {
  const { sweep = {} } = recipe;
  const base = withoutSweep(recipe);
  const grids = Object.entries(sweep);
  const count = grids.reduce((product, [, values]) => product * values.length, 1);
  if (count > MAX_VARIANTS) {
    const message = `${count} combinations; at most ${MAX_VARIANTS} are allowed.`;
    throwIfIssues('recipe.invalid', [{ field: 'sweep', code: 'too-many-variants', message }]);
  }
  throwIfIssues(
    'recipe.invalid',
    grids.flatMap(([path, values]) => pathIssues(base, path, values)),
  );
  const combinations = grids.reduce<Record<string, unknown>[]>(
    (partial, [path, values]) => partial.flatMap((settings) => values.map((value) => ({ ...settings, [path]: value }))),
    [{}],
  );
  return combinations.map((settings) => ({ settings, recipe: recipeVariant(recipe, settings) }));
}

/**
 * The recipe of one combination. `settings` may come back from a store that keeps no order of keys: a value is set before
 * those inside of it in any case.
 */
export const recipeVariant = (recipe: Recipe, settings: RecipeVariant['settings']): Recipe =>
  Object.entries(settings)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .reduce((variant, [path, value]) => withValue(variant, path, value), withoutSweep(recipe));

function withoutSweep({ stages, ...recipe }: Recipe): Recipe {
  delete recipe.sweep;
  return { ...recipe, stages: nameStages(stages) };
}

function pathIssues(recipe: Recipe, path: string, values: readonly unknown[]): FieldIssue[] {
  const field = `sweep[${JSON.stringify(path)}]`;
  const issue = (code: string, message: string): FieldIssue[] => [{ field, code, message }];
  const [head = '', part, ...keys] = path.split('.');
  const isSeed = path === 'seed' || (part === 'seed' && keys.length === 0);
  if (path !== 'seed') {
    const stage = recipe.stages.find(({ id }) => id === head);
    if (stage === undefined) return issue('unknown-path', `There is no stage "${head}".`);
    if (!isSeed && (part !== 'config' || keys.length === 0 || keys.includes('')))
      return issue('unknown-path', 'A path is seed, <stage>.seed or <stage>.config.<key>.');
    if (!isSeed && !reaches(stage.config, keys))
      return issue('unknown-path', `"${path}" goes through a value that is not an object.`);
  }
  if (isSeed && !values.every((value) => Number.isInteger(value) && Number(value) >= 0))
    return issue('invalid-seed', 'Seeds are whole numbers from 0.');
  return [];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether the keys but the last lead through objects, or through nothing yet. */
function reaches(config: Record<string, unknown>, keys: readonly string[]): boolean {
  let value: unknown = config;
  for (const key of keys.slice(0, -1)) {
    value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
    if (value === undefined) return true;
    if (!isObject(value)) return false;
  }
  return true;
}

function withValue(recipe: Recipe, path: string, value: unknown): Recipe {
  if (path === 'seed') return { ...recipe, seed: Number(value) };
  const [head, part, ...keys] = path.split('.');
  return {
    ...recipe,
    stages: recipe.stages.map((stage) => {
      if (stage.id !== head) return stage;
      if (part === 'seed') return { ...stage, seed: Number(value) };
      return { ...stage, config: withKey(stage.config, keys, value) };
    }),
  };
}

function withKey(object: Record<string, unknown>, keys: readonly string[], value: unknown): Record<string, unknown> {
  const [key = '', ...rest] = keys;
  if (rest.length === 0) return { ...object, [key]: value };
  const inner = Object.hasOwn(object, key) ? object[key] : undefined;
  return { ...object, [key]: withKey(isObject(inner) ? inner : {}, rest, value) };
}
