import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { ModelpressError, type FieldIssue } from '../errors';
import { throwIfIssues } from '../issues';
import { checkRecipe, MAX_RECIPE_BYTES, parseRecipe, withRecipeLines } from './parse';

function refusal(act: () => unknown): ModelpressError {
  try {
    act();
  } catch (error) {
    if (error instanceof ModelpressError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
const issuesOf = (error: ModelpressError): readonly FieldIssue[] => error.details.issues ?? [];

describe('parseRecipe', () => {
  it('reads YAML and fills in defaults', () => {
    expect(parseRecipe('name: small\nstages:\n  - type: quantize\n')).toEqual({
      name: 'small',
      seed: 0,
      stages: [{ type: 'quantize', config: {} }],
    });
  });

  it('reads JSON, also with tabs', () => {
    const recipe = { name: 'small', stages: [{ type: 'prune', config: { target: 0.5 } }] };
    expect(parseRecipe(JSON.stringify(recipe, undefined, '\t'))).toEqual({ ...recipe, seed: 0 });
  });

  it('names field and line of every wrong field', () => {
    const text = 'name: small\nstages:\n  - type: quantize\n    confg: {}\n  - id: Bad Id\n    type: prune\nsed: 3\n';
    const error = refusal(() => parseRecipe(text));
    expect(error).toMatchObject({ kind: 'invalid', code: 'recipe.invalid', details: { line: 4 } });
    expect(issuesOf(error).map(({ field, line }) => [field, line])).toEqual([
      ['stages[0].confg', 4],
      ['stages[1].id', 5],
      ['sed', 7],
    ]);
  });

  it('gives the line of the parent for a field that is missing', () => {
    const error = refusal(() => parseRecipe('name: small\nstages:\n  - id: a\n'));
    expect(issuesOf(error)[0]).toMatchObject({ field: 'stages[0].type', line: 3 });
  });

  it.each([
    ['a repeated key', 'name: a\nname: b\nstages: [{type: quantize}]', 2],
    ['broken indentation', 'name: a\n stages: 1', 1],
    ['an unknown tag', 'name: !!js/function a\nstages: [{type: quantize}]', 1],
    ['an unclosed bracket', 'name: a\nstages: [', 2],
  ])('refuses %s with its line', (_, text, line) => {
    const error = refusal(() => parseRecipe(text));
    expect(error.code).toBe('recipe.syntax');
    expect(issuesOf(error)[0]?.line).toBe(line);
  });

  it('refuses an alias bomb, endless nesting and a huge text', () => {
    const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
    for (let i = 1; i < 9; i++)
      bomb.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(',')}]`,
      );
    expect(refusal(() => parseRecipe(bomb.join('\n'))).code).toBe('recipe.syntax');
    expect(refusal(() => parseRecipe('['.repeat(100_000))).code).toBe('recipe.syntax');
    expect(refusal(() => parseRecipe(' '.repeat(MAX_RECIPE_BYTES + 1)))).toMatchObject({ kind: 'limit' });
  });

  it('throws nothing but a ModelpressError on any text', () => {
    const pieces = fc.constantFrom(
      'name',
      ': ',
      '\n',
      '  ',
      '- ',
      '[',
      '{',
      '&a',
      '*a',
      '!!str',
      '"',
      '|',
      '#',
      '1e9',
      '<<',
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (value) => {
        try {
          parseRecipe(value);
        } catch (error) {
          return error instanceof ModelpressError;
        }
        return true;
      }),
      { numRuns: 500 },
    );
  });

  it('gives back any recipe written as YAML or JSON', () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    const recipe = fc.record({
      name: fc.string({ minLength: 1, maxLength: 120 }),
      seed: fc.nat(),
      stages: fc.array(
        fc.record({
          type: fc.string({ minLength: 1 }),
          config: fc.dictionary(fc.stringMatching(/^[a-z]\w{0,8}$/), json),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    });
    fc.assert(
      fc.property(recipe, (value) => {
        // JSON has no -0.
        const plain: unknown = JSON.parse(JSON.stringify(value));
        expect(parseRecipe(JSON.stringify(value))).toEqual(plain);
        expect(parseRecipe(stringify(plain))).toEqual(plain);
      }),
    );
  });
});

describe('withRecipeLines', () => {
  const text =
    'name: x\nstages:\n  - type: prune\n    config:\n      target: 2\n  - type: shrink\nsweep:\n  "prune.config.a": [1]\n';
  const fields = [
    'stages[0].config.target',
    'recipe.stages[1].type',
    'sweep["prune.config.a"]',
    'stages[0].config.steps',
    'modelId',
  ];

  it('finds the line of every field that lies in the text', () => {
    const issues = fields.map((field) => ({ field, code: 'x', message: 'Wrong.' }));
    const error = refusal(() => throwIfIssues('job.invalid', issues));
    const located = withRecipeLines(error, text);
    expect(issuesOf(located).map(({ line }) => line)).toEqual([5, 6, 8, 5, undefined]);
    expect(located).toMatchObject({
      code: 'job.invalid',
      message: 'line 5, stages[0].config.target: Wrong. (and 4 more)',
    });
  });

  it('leaves errors about nothing in particular alone', () => {
    const error = new ModelpressError('conflict', 'recipe.name', 'The name is taken.');
    expect(withRecipeLines(error, text)).toBe(error);
  });
});

describe('checkRecipe', () => {
  it('puts the prefix before the fields', () => {
    const error = refusal(() => checkRecipe({ name: 'x', stages: [{}] }, ['recipe']));
    expect(error.details.field).toBe('recipe.stages[0].type');
  });
});
