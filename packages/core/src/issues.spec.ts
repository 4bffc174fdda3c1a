import { z } from 'zod';
import * as fc from 'fast-check';
import { formatPath, parsePath, throwIfIssues, zodFieldIssues } from './issues';

const issuesOf = (schema: z.ZodType, value: unknown): [string, string][] =>
  zodFieldIssues(schema.safeParse(value).error ?? new z.ZodError([])).map(({ field, code }) => [field, code]);

describe('issues', () => {
  it('writes paths as users read them', () => {
    expect(formatPath(['stages', 1, 'config', 'a.b', 'c'])).toBe('stages[1].config["a.b"].c');
    expect(formatPath([])).toBe('');
  });

  it('reads back the paths that it writes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(99), fc.string({ minLength: 1 }))), (path) => {
        expect(parsePath(formatPath(path))).toEqual(path);
      }),
    );
  });

  it('names every unknown key', () => {
    expect(issuesOf(z.strictObject({ a: z.object({}).strict() }), { a: { x: 1, y: 2 }, z: 1 })).toEqual([
      ['a.x', 'unknown-field'],
      ['a.y', 'unknown-field'],
      ['z', 'unknown-field'],
    ]);
  });

  it('looks into the alternative of the value’s type', () => {
    const schema = z.object({
      recipe: z.union([z.object({ stages: z.array(z.object({ type: z.string() })) }), z.string().min(3)]),
    });
    expect(issuesOf(schema, { recipe: { stages: [{}] } })).toEqual([['recipe.stages[0].type', 'invalid-type']]);
    expect(issuesOf(schema, { recipe: 'x' })).toEqual([['recipe', 'too-small']]);
    expect(issuesOf(schema, { recipe: 3 })).toEqual([['recipe', 'invalid-union']]);
  });

  it('raises one error with all issues, led by the first', () => {
    const issues = [
      { field: 'a', code: 'x', message: 'A is wrong.', line: 3 },
      { field: 'b', code: 'y', message: 'B is wrong.' },
    ];
    expect(() => throwIfIssues('test.invalid', issues)).toThrow(
      expect.objectContaining({
        message: 'line 3, a: A is wrong. (and 1 more)',
        details: { field: 'a', line: 3, issues },
      }),
    );
    expect(() => throwIfIssues('test.invalid', [])).not.toThrow();
  });
});
