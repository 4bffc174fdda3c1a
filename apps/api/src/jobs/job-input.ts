/** @file What is sent to submit, dry-run or clone a job. */
import { parseRecipe, recipeSchema, type Recipe } from '@modelpress/core';
import type { JobInput } from '@modelpress/service';
import { z } from 'zod';
import { given } from '../common/page';

const id = z.string().min(1).max(64);

const webhookUrl = z
  .url({ protocol: /^https?$/, message: 'An http or https URL.' })
  .describe('Told by a signed POST when the job ends.');

const fields = {
  name: z.string().trim().min(1).max(120).optional().describe("Default: the recipe's name."),
  recipe: z
    .union([recipeSchema, z.string().min(1)])
    .describe('The recipe itself, or its YAML text, or the id of a saved one.'),
  modelId: id.optional().describe('The model to compress; not needed if the recipe makes its own.'),
  teacherIds: z
    .array(id)
    .max(16)
    .default([])
    .describe('Further models that teach beside the model: `distill` mixes their logits.'),
  datasets: z
    .strictObject({ data: id.optional(), unlabelled: id.optional(), calibration: id.optional() })
    .default({})
    .describe('Data sets by role; most stages read `data`.'),
  priority: z.int().min(0).max(9).default(5).describe('0 to 9, higher runs sooner.'),
  webhookUrl: webhookUrl.optional(),
};

export const jobBody = z.strictObject(fields).meta({ id: 'SubmitJob' });
export type JobBody = z.output<typeof jobBody>;

export const cloneBody = z
  .strictObject({
    ...fields,
    recipe: fields.recipe.optional(),
    teacherIds: fields.teacherIds.unwrap().optional(),
    datasets: fields.datasets.unwrap().optional(),
    priority: fields.priority.unwrap().optional(),
  })
  .meta({ id: 'CloneJob' });
export type CloneBody = z.output<typeof cloneBody>;

/** Every recipe has a colon and no id has one. */
const readRecipe = (recipe: Recipe | string): Recipe | string =>
  typeof recipe === 'string' && recipe.includes(':') ? parseRecipe(recipe) : recipe;

export const toJobInput = ({ recipe, datasets, ...rest }: JobBody): JobInput => ({
  ...given(rest),
  recipe: readRecipe(recipe),
  datasets: given(datasets),
});

export const toJobChanges = ({ recipe, datasets, ...rest }: CloneBody): Partial<JobInput> => ({
  ...given(rest),
  ...(recipe === undefined ? {} : { recipe: readRecipe(recipe) }),
  ...(datasets === undefined ? {} : { datasets: given(datasets) }),
});
