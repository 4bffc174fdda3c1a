/** @file The text fields of uploads. */
import { DATASET_KINDS, invalid, SPLITS, TASKS, throwIfIssues, zodFieldIssues, type Split } from '@modelpress/core';
import { z } from 'zod';
import type { ReceivedFile, Upload } from './receive';

const name = z.string().trim().min(1).max(120);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'A SHA-256 in lower-case hex.');

export const modelOptions = z
  .strictObject({
    name: name.describe('Name of the model.'),
    task: z.enum(TASKS).optional().describe('Default: what the checkpoint was saved for.'),
    labels: z.array(z.string().min(1)).min(1).max(10_000).optional().describe('Label names in class order.'),
    sha256: z.record(z.string(), sha256).optional().describe('Expected digests by file name; checked if given.'),
  })
  .meta({ id: 'ModelUpload' });
export type ModelOptions = z.output<typeof modelOptions>;

const column = z.union([z.string(), z.int().min(0)]).describe('A column by name or by place, counted from 0.');

const mapping = z
  .strictObject({
    text: column.optional(),
    pair: column.optional(),
    label: column.optional(),
    target: column.optional(),
    delimiter: z.string().length(1).optional(),
    header: z.boolean().optional().describe('Whether the first row names the columns.'),
    encoding: z.enum(['utf-8', 'utf-16le', 'utf-16be', 'latin1']).optional(),
    level: z.enum(['coarse', 'fine']).optional(),
    outOfScope: z.boolean().optional(),
  })
  .describe('Where the parts of a row are found; worked out from the data where absent.');

const share = z.number().positive().max(0.9);

export const datasetOptions = z
  .strictObject({
    name: name.describe('Name of the data set.'),
    kind: z.enum(DATASET_KINDS).optional(),
    format: z
      .enum(['auto', 'csv', 'tsv', 'jsonl', 'json', 'rasa', 'label-text', 'trec', 'parallel', 'lines'])
      .optional(),
    mapping: mapping.optional(),
    splits: z
      .union([z.literal('auto'), z.strictObject({ dev: share.optional(), test: share.optional() })])
      .optional()
      .describe(
        'Shares of train to cut off. `auto`: of labelled data, 10 % as dev and 20 % as test where they are missing.',
      ),
    seed: z.int().min(0).optional(),
    select: z.string().min(1).max(200).optional().describe('Only files whose name contains this.'),
    sha256: z.record(z.string(), sha256).optional().describe('Expected digests by file name; checked if given.'),
  })
  .meta({ id: 'DatasetUpload' });
export type DatasetOptions = z.output<typeof datasetOptions>;

/**
 * Reads the fields of an upload: `options` is a JSON object, and any of its keys may also stand as a field of its own
 * (text as it is, everything else as JSON).
 */
export function readOptions<S extends z.ZodObject>(schema: S, { fields }: Upload): z.output<S> {
  const { options = '{}', ...single } = fields;
  const parsedOptions = parseJson('options', options);
  if (typeof parsedOptions !== 'object' || parsedOptions === null || Array.isArray(parsedOptions))
    throw invalid('upload.options', 'The field "options" must be a JSON object.', { field: 'options' });
  const values: Record<string, unknown> = { ...parsedOptions };
  for (const [field, text] of Object.entries(single))
    values[field] = isText(schema, field, text) ? text : parseJson(field, text);
  const checked = schema.safeParse(values);
  if (checked.success) return checked.data;
  throwIfIssues('upload.options', zodFieldIssues(checked.error));
  throw checked.error;
}

/** Whether a key takes this text as it is: then its form field is not JSON. */
const isText = (schema: z.ZodObject, field: string, text: string): boolean =>
  !Object.hasOwn(schema.shape, field) ||
  ['text', text].some((value) => z.safeParse(z.optional(schema.shape[field]), value).success) ||
  isEnum(schema.shape[field]);

const isEnum = (schema: unknown): boolean =>
  schema instanceof z.ZodOptional ? isEnum(schema.unwrap()) : schema instanceof z.ZodEnum;

function parseJson(field: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('upload.options', `The field "${field}" is not JSON.`, { field });
  }
}

/** @throws ModelpressError `upload.checksum` where a file is not what the client said it would be. */
export function checkDigests(files: readonly ReceivedFile[], expected: Readonly<Record<string, string>> = {}): void {
  for (const [name, digest] of Object.entries(expected)) {
    const file = files.find((one) => one.name === name);
    if (file === undefined)
      throw invalid('upload.checksum', `There is no file "${name}" in the upload.`, { field: `sha256.${name}` });
    if (file.sha256 !== digest) {
      const message = `"${name}" arrived with the digest ${file.sha256}, not ${digest}.`;
      throw invalid('upload.checksum', message, { field: `sha256.${name}`, file: name });
    }
  }
}

/** The split that a form field names; the others leave it to the file's name. */
export const splitOfField = (field: string): Split | undefined => SPLITS.find((split) => split === field);
