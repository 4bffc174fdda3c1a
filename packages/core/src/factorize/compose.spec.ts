import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readBundle, readManifest } from '../bundle';
import { figureOf, openWorkshop, QUICK, stageContext } from '../finetune/testing';
import { checkInputs, recipeSchema, resolveRecipe } from '../recipe';
import { STAGES } from '../stages';
import type { StageResult } from '../stages';
import { readDatasetInfo } from '../text';

let folder: string;
let dataset: string;
let dense: string;

beforeAll(async () => {
  ({ folder, dataset, trained: dense } = await openWorkshop({ layers: 1, hidden: 64, heads: 2, ffn: 128 }));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('prune, factorize and quantize in one recipe', () => {
  it('each read the model of the stage before, and the task survives', async () => {
    const original = await readManifest(dense);
    const recipe = recipeSchema.parse({
      name: 'compose',
      stages: [
        { type: 'prune', config: { ...QUICK, target: 0.4, epochs: 1.5, pruningEpochs: 0.5 } },
        {
          type: 'factorize',
          config: { ...QUICK, components: ['W_I', 'W_O'], budget: { type: 'rank', rank: 16 }, epochs: 1 },
        },
        { type: 'quantize', config: { form: 'matmul-integer' } },
        { type: 'evaluate' },
      ],
    });
    const stages = resolveRecipe(recipe, STAGES);
    const inputs = { model: original, datasets: { data: await readDatasetInfo(dataset) } };
    expect(checkInputs(stages, inputs)).toEqual([]);
    let model = dense;
    let result: StageResult | undefined;
    for (const { id, config, definition } of stages) {
      const context = stageContext(join(folder, id), dataset, model);
      result = await definition.run(config, context);
      if (result.model !== undefined) model = join(context.output, result.model);
    }
    expect(figureOf(result!, 'accuracy')).toBeGreaterThan(0.9);
    const { manifest, model: graph } = await readBundle(model);
    expect(manifest.provenance.slice(original.provenance.length).map(({ step }) => step)).toEqual(
      expect.arrayContaining(['factorize', 'quantize']),
    );
    expect(manifest.structure!.layers[0].ffn).toBeLessThan(128);
    const factors = manifest.components.filter(({ factor }) => factor);
    expect(factors).toHaveLength(4);
    const dtypes = factors.map(({ weight }) => graph.graph.value(weight).dtype);
    expect(dtypes).toContain('int8');
  });

  it('refuse orders that cannot work before anything runs', async () => {
    const model = await readManifest(dense);
    const data = await readDatasetInfo(dataset);
    const problems = (...types: string[]): { field: string; code: string }[] => {
      const recipe = recipeSchema.parse({ name: 'order', stages: types.map((type) => ({ type })) });
      return checkInputs(resolveRecipe(recipe, STAGES), { model, datasets: { data } }).map(({ field, code }) => ({
        field,
        code,
      }));
    };
    expect(problems('factorize', 'share')).toEqual([]);
    expect(problems('factorize', 'prune')).toEqual([{ field: 'stages[1].config.granularity', code: 'rewritten' }]);
    expect(problems('quantize', 'factorize')).toEqual([{ field: 'stages[1].config', code: 'already-quantized' }]);
    expect(new Set(problems('factorize', 'factorize').map(({ code }) => code))).toEqual(
      new Set(['already-factorized']),
    );
  });
});
