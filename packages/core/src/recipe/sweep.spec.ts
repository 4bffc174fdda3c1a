import * as fc from 'fast-check';
import { checkRecipe } from './parse';
import { expandSweep, recipeVariant } from './sweep';

const recipe = (sweep?: Record<string, unknown[]>) =>
  checkRecipe({
    name: 'test',
    stages: [{ type: 'prune', config: { keep: 1 } }, { type: 'prune' }],
    ...(sweep && { sweep }),
  });

describe('expandSweep', () => {
  it('gives one variant without a sweep', () => {
    const variants = expandSweep(recipe());
    expect(variants).toHaveLength(1);
    expect(variants[0]).toMatchObject({ settings: {}, recipe: { stages: [{ id: 'prune' }, { id: 'prune-2' }] } });
  });

  it('sets every combination, the last path fastest, and leaves the rest alone', () => {
    const variants = expandSweep(recipe({ 'prune.config.schedule.steps': [1, 2], 'prune-2.seed': [5, 6] }));
    expect(variants.map(({ settings }) => Object.values(settings))).toEqual([
      [1, 5],
      [1, 6],
      [2, 5],
      [2, 6],
    ]);
    expect(variants[3]?.recipe).toEqual({
      name: 'test',
      seed: 0,
      stages: [
        { id: 'prune', type: 'prune', config: { keep: 1, schedule: { steps: 2 } } },
        { id: 'prune-2', type: 'prune', config: {}, seed: 6 },
      ],
    });
  });

  it.each([
    ['an unknown stage', { 'shrink.config.x': [1] }],
    ['no key after config', { 'prune.config': [1] }],
    ['a field that cannot be swept', { 'prune.type': ['quantize'] }],
    ['a path through a number', { 'prune.config.keep.more': [1] }],
    ['a seed that is not a number', { seed: ['x'] }],
    ['too many combinations', { 'prune.config.a': Array(20).fill(1), 'prune.config.b': Array(20).fill(1) }],
  ])('refuses %s', (_, sweep) => {
    expect(() => expandSweep(recipe(sweep))).toThrow(expect.objectContaining({ code: 'recipe.invalid' }));
  });

  it('makes the same recipe from the values in any order', () => {
    const recipe = checkRecipe({ name: 'test', stages: [{ type: 'prune', config: { schedule: { steps: 1 } } }] });
    const settings = { 'prune.config.schedule.steps': 5, 'prune.config.schedule': { shape: 'cubic' }, seed: 3 };
    const back = recipeVariant(recipe, Object.fromEntries(Object.entries(settings).reverse()));
    expect(back).toEqual(recipeVariant(recipe, settings));
    expect(back).toMatchObject({ seed: 3, stages: [{ config: { schedule: { shape: 'cubic', steps: 5 } } }] });
  });

  it('does not reach prototypes', () => {
    const [variant] = expandSweep(recipe({ 'prune.config.constructor.polluted': [1] }));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(variant?.recipe.stages[0]?.config).toEqual({ keep: 1, constructor: { polluted: 1 } });
  });

  it('has as many different variants as the grids multiply to', () => {
    const grid = fc.uniqueArray(fc.nat(99), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(grid, grid, grid, (a, b, seed) => {
        const variants = expandSweep(recipe({ 'prune.config.a': a, 'prune-2.config.b': b, seed }));
        const seen = variants.map(({ recipe: { stages, seed } }) => [
          stages[0]?.config['a'],
          stages[1]?.config['b'],
          seed,
        ]);
        expect(new Set(seen.map(String)).size).toBe(a.length * b.length * seed.length);
      }),
    );
  });
});
