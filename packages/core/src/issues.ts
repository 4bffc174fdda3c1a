/** @file Field issues: how every refusal of a request, recipe or configuration says which fields are wrong and why. */
import type { z } from 'zod';
import { invalid, type FieldIssue, type ModelpressError } from './errors';

const PLAIN_KEY = /^[A-Za-z_$][\w$-]*$/;

/** Writes a path the way users read it: `stages[1].config.target`, odd keys quoted: `sweep["a.b"]`. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    const name = String(key);
    if (!PLAIN_KEY.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

/** The keys of a path that {@link formatPath} wrote. */
export const parsePath = (field: string): PropertyKey[] =>
  [...field.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g)].map(([, index, quoted, plain = '']) => {
    if (index !== undefined) return Number(index);
    return quoted === undefined ? plain : String(JSON.parse(quoted));
  });

/** A zod issue with its path as keys; unknown keys become one issue each, at the key. */
export interface PathIssue {
  readonly path: readonly PropertyKey[];
  readonly code: string;
  readonly message: string;
}

export const zodPathIssues = ({ issues }: Pick<z.core.$ZodError, 'issues'>): PathIssue[] => issues.flatMap(flatten);

function flatten(issue: z.core.$ZodIssue): PathIssue[] {
  const { path, message } = issue;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...path, key], code: 'unknown-field', message: 'Unknown field.' }));
  if (issue.code === 'invalid_union') {
    // Of alternatives such as "an object or a text", the one of the value's own type says what is wrong inside.
    const [alternative, ...others] = issue.errors.filter((errors) => !errors.some(isOtherType));
    if (alternative !== undefined && others.length === 0)
      return alternative.flatMap(flatten).map((inner) => ({ ...inner, path: [...path, ...inner.path] }));
  }
  return [{ path, code: issue.code.replaceAll('_', '-'), message }];
}

const isOtherType = ({ path, code }: z.core.$ZodIssue): boolean => path.length === 0 && code === 'invalid_type';

/** Field issues of a zod error; `prefix` is the path of the checked value in the whole input. */
export function zodFieldIssues(error: z.core.$ZodError, prefix: readonly PropertyKey[] = []): FieldIssue[] {
  return zodPathIssues(error).map(({ path, code, message }) => ({
    field: formatPath([...prefix, ...path]),
    code,
    message,
  }));
}

/**
 * The error for a set of wrong fields: its message and `details.field` / `details.line` are the first issue's, and
 * `details.issues` has them all.
 */
export function invalidFields(code: string, issues: readonly [FieldIssue, ...FieldIssue[]]): ModelpressError {
  const [first, ...others] = issues;
  const where = [first.line === undefined ? '' : `line ${first.line}`, first.field].filter((part) => part !== '');
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  const message = `${where.length === 0 ? '' : `${where.join(', ')}: `}${first.message}${more}`;
  return invalid(code, message, {
    field: first.field,
    ...(first.line === undefined ? {} : { line: first.line }),
    issues,
  });
}

/** Raises {@link invalidFields} if there is any issue. */
export function throwIfIssues(code: string, issues: readonly FieldIssue[]): void {
  const [first, ...others] = issues;
  if (first !== undefined) throw invalidFields(code, [first, ...others]);
}
