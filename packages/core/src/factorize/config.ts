import { z } from 'zod';
import { recoverySchema } from '../finetune/recovery';

/** Matrices that may become two. */
export const FACTORIZABLE = ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O', 'W_P', 'embeddings'] as const;
export type FactorizableComponent = (typeof FACTORIZABLE)[number];

export const budgetSchema = z.discriminatedUnion('type', [
  z
    .strictObject({
      type: z.literal('rank'),
      rank: z.int().min(1).max(16_384).describe('Rank of every chosen matrix.'),
    })
    .describe('The same rank everywhere.'),
  z
    .strictObject({
      type: z.literal('energy'),
      share: z.number().gt(0).max(1).describe('Share of the squared singular values that each matrix keeps.'),
    })
    .describe('Each matrix at the smallest rank that keeps this much.'),
  z
    .strictObject({
      type: z.literal('parameters'),
      share: z.number().gt(0).max(1).describe('Parameters of the chosen matrices afterwards, as a share of before.'),
    })
    .describe('One budget for all: ranks go where they add the largest share of the singular values.'),
  z
    .strictObject({ type: z.literal('bytes'), bytes: z.int().min(1).describe('Largest size of model.onnx in bytes.') })
    .describe('One budget for all, as a size of the file.'),
]);
export type RankBudget = z.infer<typeof budgetSchema>;

export const factorizeSchema = recoverySchema.extend({
  components: z
    .array(z.enum(FACTORIZABLE))
    .min(1)
    .default(['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O'])
    .describe('Roles of the matrices to factorize.'),
  method: z
    .enum(['activation-aware', 'svd'])
    .default('activation-aware')
    .describe(
      'What the approximation keeps best: "activation-aware" the outputs of the layer on texts of the data set, "svd" the weight itself.',
    ),
  budget: budgetSchema.default({ type: 'parameters', share: 0.5 }).describe('How small the matrices get.'),
  bySensitivity: z
    .boolean()
    .default(false)
    .describe(
      'Spend a budget of parameters or bytes by what the sensitivity stage right before this one (with a `rank` choice) found: ranks go where they spare the answers most, and no matrix gets less than the least rank that was tried.',
    ),
  minimumRank: z.int().min(1).max(4096).default(8).describe('Least rank of a matrix under a budget or by energy.'),
  multipleOf: z
    .int()
    .min(1)
    .max(256)
    .default(8)
    .describe('Chosen ranks are multiples of this: matrix kernels work in such blocks.'),
  calibrationRows: z
    .int()
    .min(1)
    .max(100_000)
    .default(512)
    .describe('Training texts that activation-aware factorization looks at.'),
  only: z
    .enum(['smaller', 'faster'])
    .default('smaller')
    .describe('Matrices become two where that is smaller; "faster": where it also measures faster on this worker.'),
});
export type FactorizeConfig = z.infer<typeof factorizeSchema>;
