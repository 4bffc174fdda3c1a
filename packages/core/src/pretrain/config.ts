import { z } from 'zod';
import { scratchSchema } from '../finetune/config';
import { DEFAULT_MASKING } from '../text/mask-tokens';
import { optimizerSchema } from '../train/optimizer';
import { precisionSchema } from '../train/precision';
import { scheduleSchema } from '../train/schedule';

const budgetSchema = z
  .union([
    z.strictObject({ epochs: z.number().positive().max(1000) }).describe('Passes over the text.'),
    z.strictObject({ steps: z.int().min(1) }).describe('Optimizer steps.'),
    z
      .strictObject({ seconds: z.number().positive() })
      .describe('Seconds of training on the machine that runs it; evaluations do not count.'),
    z
      .strictObject({ flops: z.number().positive() })
      .describe('Floating-point operations of all forward and backward passes.'),
  ])
  .describe('How long to train. The learning rate follows what is used of it.');

const maskingSchema = z
  .strictObject({
    share: z.number().gt(0).max(0.9).default(DEFAULT_MASKING.share).describe('Share of the tokens that is predicted.'),
    masked: z
      .number()
      .min(0)
      .max(1)
      .default(DEFAULT_MASKING.masked)
      .describe('Share of those that is shown as the mask token.'),
    random: z
      .number()
      .min(0)
      .max(1)
      .default(DEFAULT_MASKING.random)
      .describe('Share of those that is shown as a random token; the rest is shown as it is.'),
  })
  .refine(({ masked, random }) => masked + random <= 1, {
    path: ['random'],
    error: 'masked and random together must be at most 1.',
  });

export const pretrainSchema = z.strictObject({
  scratch: scratchSchema
    .optional()
    .describe(
      "Start from random weights of this size: gpt2 learns the next token, the others masked tokens. With an input model, that model's tokenizer is used.",
    ),
  budget: budgetSchema.default({ epochs: 1 }),
  precision: precisionSchema,
  batchSize: z.int().min(1).max(4096).default(32).describe('Rows per forward pass.'),
  accumulate: z.int().min(1).max(1024).default(1).describe('Forward passes per optimizer step.'),
  maxLength: z.int().min(8).max(8192).default(128).describe('Tokens of a row. At most what the model takes.'),
  pack: z
    .boolean()
    .default(true)
    .describe('Fill every row with text after text. Otherwise one row a text, longer ones cut.'),
  masking: maskingSchema.prefault({}).describe('For masked language models.'),
  optimizer: optimizerSchema
    .extend({
      learningRate: optimizerSchema.shape.learningRate.default(5e-4),
      beta2: optimizerSchema.shape.beta2.unwrap().default(0.98).describe(optimizerSchema.shape.beta2.description!),
      epsilon: optimizerSchema.shape.epsilon
        .unwrap()
        .default(1e-6)
        .describe(optimizerSchema.shape.epsilon.description!),
    })
    .prefault({})
    .describe('AdamW, with the moments of RoBERTa.'),
  schedule: scheduleSchema.prefault({}).describe('How the learning rate changes over the budget.'),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('Dropout of embeddings, attention and sub-layer outputs; few passes over much text need none.'),
  heldOut: z
    .number()
    .gt(0)
    .max(0.5)
    .default(0.05)
    .describe('Share of the texts that is kept for evaluation when the data set has no dev split.'),
  evaluations: z.int().min(1).max(1000).default(20).describe('Evaluations on held-out text, spread over the budget.'),
  evaluationBatches: z.int().min(1).default(16).describe('Batches of held-out text in each; fewer if there are fewer.'),
});
export type PretrainConfig = z.infer<typeof pretrainSchema>;
