import { z } from 'zod';

const id = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}$/, 'lower-case letters, digits and dashes, starting with a letter, at most 40');

export const recipeStageSchema = z.strictObject({
  id: id.optional().describe('Name of the stage in this recipe; default: its type, numbered if repeated.'),
  type: z.string().describe('Stage type; GET /v1/stages lists them.'),
  from: id
    .optional()
    .describe(
      'Stage whose model this one reads; default: the last one before it that makes a model, else the job model. `model`: the job model.',
    ),
  config: z.record(z.string(), z.unknown()).default({}).describe("The stage's own settings."),
  seed: z.int().min(0).optional().describe("Overrides the recipe's seed."),
});

/** How much worse than its original a model may be. For a metric where lower is better, a rise counts as the drop. */
export const maxDropSchema = z
  .strictObject({
    metric: z
      .string()
      .default('accuracy')
      .describe('A figure of the evaluate stage: accuracy, macroF1, perplexity ...'),
    absolute: z.number().min(0).optional().describe('In the unit of the metric: of accuracy, 0.01 is one point.'),
    relative: z.number().min(0).max(1).optional().describe("As a share of the original's figure."),
  })
  .refine(
    ({ absolute, relative }) => absolute !== undefined || relative !== undefined,
    'Give absolute, relative or both.',
  );
export type MaxDrop = z.infer<typeof maxDropSchema>;

export const goalSchema = z.strictObject({
  maxDrop: maxDropSchema.optional().describe('Largest allowed loss of a metric against the original model.'),
  minSpeedup: z
    .number()
    .positive()
    .optional()
    .describe('Smallest allowed ratio of p50 latency, original over result, mean over the benchmark.'),
  maxBytes: z.int().positive().optional().describe('Largest size of the model on disk.'),
  maxLatencyMs: z
    .strictObject({
      value: z.number().positive().describe('Milliseconds of one batch.'),
      batch: z.int().positive().default(1).describe('Rows fed at once; one of the benchmark stage’s.'),
      sequence: z.int().positive().default(32).describe('Tokens of each row; one of the benchmark stage’s.'),
    })
    .optional()
    .describe('Largest p50 latency at one shape; at every thread count that the benchmark measures.'),
});
export type Goals = z.infer<typeof goalSchema>;

/** A recipe: stages in order (or a DAG by `from`) plus goals. Written as YAML or JSON. */
export const recipeSchema = z
  .strictObject({
    name: z.string().min(1).max(120),
    description: z.string().max(2000).optional(),
    seed: z.int().min(0).default(0),
    stages: z.array(recipeStageSchema).min(1).max(64),
    baseline: id
      .optional()
      .describe(
        'Stage whose model the later ones are compared with, e.g. `finetune` where the job model does not know the task yet; default: the job model.',
      ),
    sweep: z
      .record(z.string(), z.array(z.unknown()).min(1).max(64))
      .optional()
      .describe('Grids by path, e.g. { "prune.config.target": [0.4, 0.6] }: one job variant per combination.'),
    goals: goalSchema.optional(),
  })
  .meta({ id: 'Recipe' });
export type Recipe = z.infer<typeof recipeSchema>;
