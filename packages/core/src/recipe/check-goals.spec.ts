import { manifestSchema } from '../bundle/manifest';
import { STAGES } from '../stages';
import { datasetInfoSchema } from '../text';
import { goalIssues } from './check-goals';
import { checkRecipe } from './parse';
import { resolveRecipe } from './resolve';

const model = manifestSchema.parse({
  format: 1,
  name: 'test',
  architecture: 'bert',
  task: 'classification',
  inputs: [],
  output: 'logits',
  maxLength: 128,
  components: [],
  parameters: { total: 1_000_000, embeddings: 0 },
});
const data = datasetInfoSchema.parse({
  format: 1,
  name: 'data',
  kind: 'classification',
  labels: ['a', 'b'],
  splits: {},
  warnings: [],
});

const STAGES_OF_ALL = [{ type: 'quantize' }, { type: 'evaluate' }, { type: 'benchmark' }];

/** [field, code] of every problem, with the model and data unless others are given. */
function problems(
  goals: object,
  stages: readonly object[] = STAGES_OF_ALL,
  inputs: object = { model },
  more: object = {},
): string[][] {
  const recipe = checkRecipe({ name: 'test', stages, goals, ...more });
  return goalIssues(recipe.goals, resolveRecipe(recipe, STAGES), { datasets: { data }, ...inputs }).map(
    ({ field, code }) => [field, code],
  );
}

describe('goalIssues', () => {
  it('accepts goals that the stages judge', () => {
    const goals = {
      maxDrop: { metric: 'macroF1', relative: 0.03 },
      minSpeedup: 1.2,
      maxBytes: 1_100_000,
      maxLatencyMs: { value: 5, batch: 8, sequence: 128 },
    };
    expect(problems(goals)).toEqual([]);
    // Larger than the original is no contradiction: the goal holds.
    expect(problems({ maxBytes: 100_000_000 })).toEqual([]);
    expect(problems({ maxBytes: 1_000_000 }, [{ type: 'quantize' }])).toEqual([]);
  });

  it('knows the task that a model is trained for, and the stage that stands for the original', () => {
    const stages = [{ type: 'finetune' }, ...STAGES_OF_ALL];
    const goals = { maxDrop: { metric: 'macroF1', relative: 0.03 }, minSpeedup: 2 };
    const embedding = { model: { ...model, task: 'embedding' } };
    expect(problems(goals, stages, embedding, { baseline: 'finetune' })).toEqual([]);
    expect(problems(goals, STAGES_OF_ALL, embedding)).toContainEqual(['goals.maxDrop.metric', 'unknown-metric']);
    const scratch = [{ type: 'finetune', config: { scratch: { layers: 2 } } }, ...STAGES_OF_ALL];
    expect(problems(goals, scratch, {}, { baseline: 'finetune' })).toEqual([]);
    expect(problems(goals, scratch, {})).toEqual([
      ['goals.maxDrop', 'no-original'],
      ['goals.minSpeedup', 'no-original'],
    ]);
  });

  it('refuses what no stage measures on the result', () => {
    const early = [{ type: 'evaluate' }, { type: 'benchmark' }, { type: 'quantize' }];
    const goals = { maxDrop: { absolute: 0.01 }, minSpeedup: 1.2, maxLatencyMs: { value: 5 } };
    expect(problems(goals, early)).toEqual([
      ['goals.maxDrop', 'not-measured'],
      ['goals.minSpeedup', 'not-measured'],
      ['goals.maxLatencyMs', 'not-measured'],
    ]);
    expect(problems({ maxLatencyMs: { value: 5, batch: 3 } })).toEqual([['goals.maxLatencyMs', 'not-measured']]);
    expect(problems({ maxBytes: 1_000_000_000 }, [{ type: 'finetune' }])).toEqual([['goals.maxBytes', 'not-measured']]);
  });

  it('refuses metrics that the task has not, and drops that any model keeps to', () => {
    expect(problems({ maxDrop: { metric: 'perplexity', absolute: 1 } })).toEqual([
      ['goals.maxDrop.metric', 'unknown-metric'],
    ]);
    expect(problems({ maxDrop: { metric: 'acuracy', absolute: 0.1 } }, STAGES_OF_ALL)).toEqual([
      ['goals.maxDrop.metric', 'unknown-metric'],
    ]);
    expect(problems({ maxDrop: { metric: 'accuracy', absolute: 1 } })).toEqual([
      ['goals.maxDrop.absolute', 'always-met'],
    ]);
    const language = { model: { ...model, task: 'causal-lm' } };
    expect(problems({ maxDrop: { metric: 'perplexity', absolute: 1 } }, STAGES_OF_ALL, language)).toEqual([]);
    expect(problems({ maxDrop: { metric: 'bleu', absolute: 0.1 } }, STAGES_OF_ALL, language)).toHaveLength(1);
  });

  it('refuses what these stages cannot give', () => {
    expect(problems({ maxBytes: 400_000 })).toEqual([['goals.maxBytes', 'impossible']]);
    expect(problems({ minSpeedup: 1.5 }, [{ type: 'benchmark' }])).toEqual([['goals.minSpeedup', 'impossible']]);
    const fromNothing = [{ type: 'finetune' }, ...STAGES_OF_ALL];
    expect(problems({ maxDrop: { absolute: 0.1 }, minSpeedup: 2 }, fromNothing, {})).toEqual([
      ['goals.maxDrop', 'no-original'],
      ['goals.minSpeedup', 'no-original'],
    ]);
  });

  it('refuses a stage that may lose more than the goal allows in all', () => {
    const stages = (maxDrop: object) => [{ type: 'quantize', config: { keep: { maxDrop } } }, { type: 'evaluate' }];
    const goals = { maxDrop: { metric: 'macroF1', absolute: 0.01 } };
    expect(problems(goals, stages({ metric: 'macroF1', absolute: 0.02 }))).toEqual([
      ['stages[0].config.keep.maxDrop', 'looser-than-goal'],
    ]);
    expect(problems(goals, stages({ metric: 'macroF1', absolute: 0.01 }))).toEqual([]);
    expect(problems(goals, stages({ metric: 'accuracy', absolute: 0.02 }))).toEqual([]);
  });

  it.each([
    { minSpeedup: 0 },
    { minSpeedup: -1 },
    { maxDrop: {} },
    { maxDrop: { absolute: -0.1 } },
    { maxDrop: { relative: 1.5 } },
    { maxBytes: 0 },
    { maxLatencyMs: { value: 0 } },
    { maxSize: 5 },
  ])('does not read %j as goals', (goals) => {
    expect(() => checkRecipe({ name: 'test', stages: [{ type: 'quantize' }], goals })).toThrow(/goals/);
  });
});
