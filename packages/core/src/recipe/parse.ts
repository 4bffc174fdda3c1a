/** @file Recipe text (YAML, of which JSON is a part) to a checked recipe. */
import { isNode, LineCounter, parseDocument, type Document } from 'yaml';
import { limitExceeded, type FieldIssue, type ModelpressError } from '../errors';
import { invalidFields, parsePath, throwIfIssues, zodFieldIssues, zodPathIssues, formatPath } from '../issues';
import { recipeSchema, type Recipe } from './recipe';

/** A recipe is a page of text; more is a mistake or an attack. */
export const MAX_RECIPE_BYTES = 256 * 1024;

/**
 * Reads a recipe from YAML or JSON text.
 * @throws ModelpressError `recipe.too-large`; `recipe.syntax` or `recipe.invalid` with `details.issues`, each with its
 * field path and line.
 */
export function parseRecipe(text: string): Recipe {
  if (Buffer.byteLength(text) > MAX_RECIPE_BYTES)
    throw limitExceeded('recipe.too-large', `A recipe may have at most ${MAX_RECIPE_BYTES} bytes.`);
  const lines = new LineCounter();
  const { document, value } = readYaml(text, lines);
  const parsed = recipeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = zodPathIssues(parsed.error).map(({ path, code, message }): FieldIssue => {
    const line = lineOf(document, lines, path);
    return { field: formatPath(path), code, message, ...(line === undefined ? {} : { line }) };
  });
  throwIfIssues('recipe.invalid', issues);
  throw parsed.error;
}

/**
 * Adds the lines of a recipe's text to an error that was found after parsing, e.g. an unknown stage type. Fields may
 * stand below `recipe`, where a request carried the recipe.
 */
export function withRecipeLines(error: ModelpressError, text: string): ModelpressError {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const issues = error.details.issues?.map((issue): FieldIssue => {
    const path = parsePath(issue.field.replace(/^recipe\./, ''));
    const isInRecipe = document.hasIn(path.slice(0, 1));
    const line = isInRecipe ? lineOf(document, lines, path) : undefined;
    return line === undefined ? issue : { ...issue, line };
  });
  const [first, ...others] = issues ?? [];
  return first === undefined ? error : invalidFields(error.code, [first, ...others]);
}

/** Checks a recipe that is already a value, e.g. the body of a request. `prefix`: its path there. */
export function checkRecipe(value: unknown, prefix: readonly PropertyKey[] = []): Recipe {
  const parsed = recipeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throwIfIssues('recipe.invalid', zodFieldIssues(parsed.error, prefix));
  throw parsed.error;
}

function readYaml(text: string, lines: LineCounter): { document: Document; value: unknown } {
  const syntaxIssue = (message: string, offset?: number): FieldIssue => ({
    field: '',
    code: 'syntax',
    message: message.split('\n')[0] ?? message,
    ...(offset === undefined ? {} : { line: lines.linePos(offset).line }),
  });
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
    // A warning is a tag that YAML's core schema does not know: its value would not be what the author meant.
    const problems = [...document.errors, ...document.warnings];
    throwIfIssues(
      'recipe.syntax',
      problems.map((problem) => syntaxIssue(problem.message, problem.pos[0])),
    );
    return { document, value: document.toJS() };
  } catch (error) {
    // The parser recurses and guards against alias bombs: both end in one of these.
    if (error instanceof RangeError || error instanceof ReferenceError)
      throwIfIssues('recipe.syntax', [syntaxIssue(`The text cannot be read as YAML: ${error.message}`)]);
    throw error;
  }
}

/** Line of the deepest node on the path that exists in the document. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return undefined;
}
