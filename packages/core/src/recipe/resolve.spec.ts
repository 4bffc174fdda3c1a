import * as fc from 'fast-check';
import { manifestSchema } from '../bundle/manifest';
import { ModelpressError } from '../errors';
import { checkRecipe } from './parse';
import { checkInputs, estimateStages } from './preview';
import { resolveRecipe } from './resolve';
import { TEST_STAGES } from './testing';

const resolve = (...stages: object[]) => resolveRecipe(checkRecipe({ name: 'test', stages, seed: 7 }), TEST_STAGES);

function issues(act: () => unknown): [string, string][] {
  try {
    act();
  } catch (error) {
    if (!(error instanceof ModelpressError)) throw error;
    return (error.details.issues ?? []).map(({ field, code }) => [field, code]);
  }
  return [];
}

describe('resolveRecipe', () => {
  it('names stages by type and reads the last model before', () => {
    const stages = resolve(
      { type: 'prune', config: { target: 0.4 } },
      { type: 'evaluate' },
      { type: 'prune' },
      { type: 'quantize', seed: 3 },
      { type: 'evaluate', from: 'model' },
    );
    expect(stages.map(({ id, from, seed }) => [id, from, seed])).toEqual([
      ['prune', undefined, 7],
      ['evaluate', 'prune', 7],
      ['prune-2', 'prune', 7],
      ['quantize', 'prune-2', 3],
      ['evaluate-2', undefined, 7],
    ]);
    expect(stages[0]?.config).toEqual({ target: 0.4, schedule: { steps: 10 } });
  });

  it('does not give a default id that another stage has', () => {
    const stages = resolve({ type: 'quantize', id: 'prune' }, { type: 'prune' }, { type: 'prune', id: 'prune-2' });
    expect(stages.map(({ id }) => id)).toEqual(['prune', 'prune-3', 'prune-2']);
  });

  it('starts from nothing for a stage that needs no model', () => {
    expect(resolve({ type: 'prune' }, { type: 'pretrain' })[1]?.from).toBeUndefined();
  });

  it('gives a model to a stage that can do without one, where there is one', () => {
    const stages = resolve(
      { type: 'finetune' },
      { type: 'finetune' },
      { type: 'finetune', id: 'again', from: 'finetune' },
    );
    expect(stages.map(({ from }) => from)).toEqual([undefined, 'finetune', 'finetune']);
    expect(checkInputs(stages, { datasets: {} })).toEqual([]);
  });

  it('orders a stage after one that stands below it', () => {
    const stages = resolve(
      { type: 'evaluate', from: 'late' },
      { type: 'quantize' },
      { type: 'prune', id: 'late', from: 'model' },
    );
    expect(stages.map(({ id }) => id)).toEqual(['late', 'evaluate', 'quantize']);
  });

  it('knows which stages are compared with the model of another', () => {
    const recipe = checkRecipe({
      name: 'test',
      stages: [{ type: 'finetune' }, { type: 'evaluate', from: 'model' }, { type: 'prune' }, { type: 'evaluate' }],
      baseline: 'finetune',
    });
    expect(resolveRecipe(recipe, TEST_STAGES).map(({ id, baseline }) => [id, baseline])).toEqual([
      ['finetune', undefined],
      ['evaluate', undefined],
      ['prune', 'finetune'],
      ['evaluate-2', 'finetune'],
    ]);
    for (const [baseline, code] of [
      ['nowhere', 'unknown-baseline'],
      ['evaluate', 'baseline-without-model'],
    ]) {
      expect(issues(() => resolveRecipe({ ...recipe, baseline }, TEST_STAGES))).toEqual([['baseline', code]]);
    }
  });

  it('reports every wrong field at once', () => {
    const found = issues(() =>
      resolve(
        { type: 'prune', config: { target: 2, tarjet: 1 } },
        { type: 'shrink' },
        { type: 'quantize', id: 'model' },
        { type: 'evaluate', from: 'nowhere' },
        { type: 'evaluate', id: 'e' },
        { type: 'quantize', id: 'e' },
        { type: 'quantize', from: 'evaluate' },
        { type: 'pretrain', from: 'prune' },
        { type: 'constructor' },
      ),
    );
    expect(found.sort(([a], [b]) => a.localeCompare(b))).toEqual([
      ['stages[0].config.target', 'too-big'],
      ['stages[0].config.tarjet', 'unknown-field'],
      ['stages[1].type', 'unknown-stage'],
      ['stages[2].id', 'reserved-id'],
      ['stages[3].from', 'unknown-from'],
      ['stages[5].id', 'repeated-id'],
      ['stages[6].from', 'from-without-model'],
      ['stages[7].from', 'from-unused'],
      ['stages[8].type', 'unknown-stage'],
    ]);
  });

  it('refuses a cycle and says which stages', () => {
    const stages = [
      { type: 'prune', id: 'a', from: 'b' },
      { type: 'prune', id: 'b', from: 'a' },
      { type: 'prune', id: 'self', from: 'self' },
    ];
    expect(() => resolve(...stages)).toThrow(/a -> b -> a/);
    expect(() => resolve(stages[2] ?? {})).toThrow(/self -> self/);
  });

  // Any assignment of sources either resolves to an order in which sources come first, or has a cycle.
  it('puts every source before its readers, or finds the cycle', () => {
    const sources = fc
      .integer({ min: 1, max: 8 })
      .chain((n) => fc.array(fc.integer({ min: -1, max: n - 1 }), { minLength: n, maxLength: n }));
    fc.assert(
      fc.property(sources, (from) => {
        const stages = from.map((source, i) => ({
          type: 'prune',
          id: `s${i}`,
          from: source === -1 ? 'model' : `s${source}`,
        }));
        const isForest = from.every((_, start) => {
          let at = start;
          for (let hop = 0; hop <= from.length && at !== -1; hop++) at = from[at] ?? -1;
          return at === -1;
        });
        if (!isForest)
          return (
            issues(() => resolve(...stages))
              .map(([, code]) => code)
              .join() === 'cycle'
          );
        const order = resolve(...stages);
        const place = new Map(order.map(({ id }, at) => [id, at]));
        return (
          place.size === stages.length &&
          order.every(({ from }, at) => from === undefined || (place.get(from) ?? Infinity) < at)
        );
      }),
    );
  });
});

describe('checkInputs and estimateStages', () => {
  const model = manifestSchema.parse({
    format: 1,
    name: 'test',
    architecture: 'bert',
    task: 'classification',
    inputs: [],
    output: 'logits',
    maxLength: 8,
    components: [],
    parameters: { total: 100, embeddings: 10 },
  });

  it('names each missing input once', () => {
    const stages = resolve({ type: 'prune' }, { type: 'evaluate' }, { type: 'evaluate' }, { type: 'pretrain' });
    expect(checkInputs(stages, { datasets: {} }).map(({ field }) => field)).toEqual([
      'model',
      'datasets.data',
      'datasets.unlabelled',
    ]);
  });

  it('asks the stage itself, with the model only where it reads the job model', () => {
    const stages = resolve({ type: 'prune', config: { target: 1 } }, { type: 'prune', config: { target: 1 } });
    expect(checkInputs(stages, { model, datasets: {} })).toEqual([
      { field: 'stages[0].config.target', code: 'all', message: 'Nothing would be left.' },
    ]);
  });

  it('multiplies the effects along each chain', () => {
    const stages = resolve(
      { type: 'prune', config: { target: 0.4 } },
      { type: 'evaluate' },
      { type: 'quantize' },
      { type: 'quantize', from: 'model' },
    );
    const totals = estimateStages(stages, { model, datasets: {} }).map(({ stage, total }) => [stage, total]);
    expect(totals).toEqual([
      ['prune', { parameters: 0.6, bytes: 0.6 }],
      ['evaluate', { parameters: 0.6, bytes: 0.6 }],
      ['quantize', { bytes: 0.15 }],
      ['quantize-2', { bytes: 0.25 }],
    ]);
  });
});
