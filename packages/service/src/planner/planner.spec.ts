import fc from 'fast-check';
import { recipeSchema } from '@modelpress/core';
import { STAGES } from '../testing/stages';
import { testDatasetInfo, testManifest } from '../testing/stack';
import { planJob, type Plan, type PlanInput } from './plan';
import { canonicalJson, stageKey } from './stage-key';

const plan = (
  stages: readonly object[],
  more: object = {},
  modelDigest = 'm',
  teachers: PlanInput['teachers'] = [],
): Plan =>
  planJob({
    recipe: recipeSchema.parse({ name: 'plan', stages, ...more }),
    definitions: STAGES,
    model: { artifactId: 'model', digest: modelDigest, manifest: testManifest },
    teachers,
    datasets: { data: { artifactId: 'data', digest: 'd', info: testDatasetInfo } },
  });

describe('canonical JSON', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, inner]) => [key, shuffled(inner)]),
    );
  };

  it('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value));
      }),
    );
  });

  it('reads back as the value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('refuses what JSON has no word for', () => {
    expect(() => canonicalJson({ value: Number.NaN })).toThrow('no place');
    expect(() => canonicalJson([() => 1])).toThrow('no place');
  });
});

describe('a stage run key', () => {
  const parts = {
    type: 't',
    version: 1,
    config: { a: 1 },
    seed: 0,
    model: 'm',
    baseline: null,
    datasets: { data: 'd' },
  };

  it('is the same for the same parts', () => {
    expect(stageKey({ ...parts, config: { a: 1, b: undefined } })).toBe(stageKey(parts));
  });

  it.each([
    ['type', { type: 'u' }],
    ['version', { version: 2 }],
    ['config', { config: { a: 2 } }],
    ['seed', { seed: 1 }],
    ['model', { model: 'n' }],
    ['baseline', { baseline: 'm' }],
    ['teachers', { teachers: ['n'] }],
    ['datasets', { datasets: { data: 'e' } }],
    ['role of a data set', { datasets: { calibration: 'd' } }],
  ] as const)('changes with its %s', (_part, change) => {
    expect(stageKey({ ...parts, ...change })).not.toBe(stageKey(parts));
  });
});

describe('a plan', () => {
  it('gives equal prefixes equal runs, and each run the one it reads', () => {
    const { runs, stages, variants } = plan(
      [{ id: 'base', type: 'append', config: { text: 'a' } }, { id: 'leaf', type: 'append' }, { type: 'measure' }],
      { sweep: { 'leaf.config.text': ['x', 'y'] } },
    );
    expect(variants.map(({ values }) => values)).toEqual([{ 'leaf.config.text': 'x' }, { 'leaf.config.text': 'y' }]);
    expect(runs).toHaveLength(5);
    const keyOf = (variant: number, stage: string) =>
      stages.find((entry) => entry.variant === variant && entry.stage === stage)?.key;
    expect(keyOf(0, 'base')).toBe(keyOf(1, 'base'));
    expect(keyOf(0, 'leaf')).not.toBe(keyOf(1, 'leaf'));
    const measure = runs.find(({ key }) => key === keyOf(1, 'measure'));
    expect(measure).toMatchObject({
      upstream: keyOf(1, 'leaf'),
      queue: 'bench',
      inputs: { model: null, baseline: 'model' },
    });
  });

  it('compares with the stage that the recipe names, where that comes before', () => {
    const stages = [
      { type: 'append', config: { text: 'a' } },
      { id: 'before', type: 'measure' },
      { type: 'append' },
      { type: 'measure' },
    ];
    const { runs } = plan(stages, { baseline: 'append' });
    expect(runs.map(({ baseline, inputs }) => [baseline, inputs.baseline])).toEqual([
      [null, null],
      [runs[0]?.key, null],
      [null, null],
      [runs[0]?.key, null],
    ]);
    const againstTheJobModel = plan(stages).runs;
    expect(againstTheJobModel.map(({ inputs }) => inputs.baseline)).toEqual([null, 'model', null, 'model']);
    expect(againstTheJobModel[3]?.key).not.toBe(runs[3]?.key);
  });

  it('gives teachers to the stages that learn from them, and to no other', () => {
    const stages = [{ type: 'append' }, { type: 'learn' }];
    const teachers = ['a', 'b'].map((name) => ({ artifactId: name, digest: `${name}-digest`, manifest: testManifest }));
    const [alone, taught, otherwise] = [[], teachers, [...teachers].reverse()].map(
      (given) => plan(stages, {}, 'm', given).runs,
    );
    expect(taught.map(({ inputs }) => inputs.teachers)).toEqual([undefined, ['a', 'b']]);
    expect(taught[0]?.key).toBe(alone[0]?.key);
    expect(new Set([alone, taught, otherwise].map((runs) => runs[1]?.key)).size).toBe(3);
    expect(() => plan([{ type: 'append' }], {}, 'm', teachers)).toThrow('learns from further teachers');
  });

  it('puts a run after the one it reads, whatever the order in the recipe', () => {
    const { runs } = plan([
      { id: 'late', type: 'append', from: 'early', config: { text: 'b' } },
      { id: 'early', type: 'append', from: 'model', config: { text: 'a' } },
    ]);
    expect(runs.map(({ config }) => config['text'])).toEqual(['a', 'b']);
  });

  it('sees defaults and spelled-out settings as the same', () => {
    const [short, long] = [plan([{ type: 'append' }]), plan([{ type: 'append', config: { text: '', steps: 0 } }])];
    expect(short.runs[0]?.key).toBe(long.runs[0]?.key);
  });

  it('depends on the bytes of a model, not on where it is kept', () => {
    expect(plan([{ type: 'append' }], {}, 'm').runs[0]?.key).not.toBe(plan([{ type: 'append' }], {}, 'n').runs[0]?.key);
  });

  it('gives every variant its seed', () => {
    const { runs } = plan([{ type: 'append' }], { sweep: { seed: [1, 2, 3] } });
    expect(runs.map(({ seed }) => seed)).toEqual([1, 2, 3]);
  });
});
