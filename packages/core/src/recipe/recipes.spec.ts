import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { STAGES } from '../stages';
import { goalIssues } from './check-goals';
import { parseRecipe } from './parse';
import { resolveRecipe } from './resolve';
import { expandSweep } from './sweep';

const folder = join(__dirname, '..', '..', '..', '..', 'recipes');

describe('the recipes that come with modelpress', () => {
  it.each(readdirSync(folder).filter((file) => file.endsWith('.yaml')))('%s is valid in every variant', (file) => {
    const recipe = parseRecipe(readFileSync(join(folder, file), 'utf8'));
    for (const variant of expandSweep(recipe)) {
      const stages = resolveRecipe(variant.recipe, STAGES);
      expect(stages.length).toBeGreaterThan(0);
      expect(goalIssues(recipe.goals, stages)).toEqual([]);
    }
  });
});
