import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTransformer, transformerConfig } from '../models';
import { STAGES } from '../stages';
import type { StagePreview } from '../stages/stage';
import { datasetFolder, tinyExamples } from '../stages/testing';
import { readDatasetInfo } from '../text';
import { goalIssues } from './check-goals';
import { parseRecipe } from './parse';
import { checkInputs } from './preview';
import { resolveRecipe } from './resolve';
import { expandSweep } from './sweep';

const folder = join(__dirname, '..', '..', '..', '..', 'recipes');

/** A classifier with as many layers and heads as a MiniLM. */
function classifier() {
  const config = transformerConfig('bert', { layers: 6, hidden: 96, heads: 12, vocabulary: 100, maxLength: 128 });
  const tokenizer = { kind: 'wordpiece', padId: 0 } as const;
  const labels = ['negative', 'positive'];
  return createTransformer(config, { task: 'classification', labels, seed: 0, name: 'classifier', tokenizer }).manifest;
}

describe('the recipes that come with modelpress', () => {
  let inputs: StagePreview;
  beforeAll(async () => {
    const splits = { train: tinyExamples(30), dev: tinyExamples(9), test: tinyExamples(9) };
    const data = await readDatasetInfo(datasetFolder(splits));
    inputs = { model: classifier(), datasets: { data, unlabelled: data } };
  });

  it.each(readdirSync(folder).filter((file) => file.endsWith('.yaml')))(
    '%s is valid in every variant, and accepted for a classifier and its data',
    (file) => {
      const recipe = parseRecipe(readFileSync(join(folder, file), 'utf8'));
      for (const variant of expandSweep(recipe)) {
        const stages = resolveRecipe(variant.recipe, STAGES);
        expect(stages.length).toBeGreaterThan(0);
        expect(checkInputs(stages, inputs)).toEqual([]);
        expect(goalIssues(recipe.goals, stages, inputs)).toEqual([]);
      }
    },
  );
});
