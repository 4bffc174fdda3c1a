import { z } from 'zod';
import { trainingSchema } from '../finetune/config';

const share = z.number().min(0).max(1);

/** Matrices that unstructured pruning may thin out. */
export const PRUNABLE = ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O', 'W_P'] as const;
export type PrunableComponent = (typeof PRUNABLE)[number];

export const granularitySchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('weight') }).describe('Single weights: smaller files, not faster in ONNX Runtime.'),
  z
    .strictObject({ type: z.literal('n-of-m'), keep: z.int().min(1).default(2), of: z.int().min(2).max(64).default(4) })
    .describe('Keep the best `keep` of every `of` inputs.'),
  z
    .strictObject({
      type: z.literal('block'),
      rows: z.int().min(1).max(64).default(1).describe('Inputs.'),
      columns: z.int().min(1).max(64).default(16).describe('Outputs.'),
    })
    .describe('Tiles of inputs x outputs.'),
  z
    .strictObject({ type: z.literal('neuron') })
    .describe('Query/key and value dimensions and FFN neurons; really removed.'),
  z.strictObject({ type: z.literal('head') }).describe('Whole attention heads; really removed.'),
  z.strictObject({ type: z.literal('layer') }).describe('Whole layers; really removed.'),
]);
export type Granularity = z.infer<typeof granularitySchema>;

export const pruneSchema = trainingSchema.extend({
  epochs: z
    .number()
    .min(0)
    .max(1000)
    .default(3)
    .describe('Passes over the training split, pruning and recovery together; 0 prunes without any training.'),
  granularity: granularitySchema.default({ type: 'neuron' }).describe('What is removed as a unit.'),
  importance: z
    .enum(['magnitude', 'movement', 'l0', 'pst', 'activation-gradient', 'taylor', 'random'])
    .optional()
    .describe(
      'How importance is measured; default activation-gradient for structured, magnitude for unstructured pruning.',
    ),
  target: share.default(0.6).describe('Share to remove.'),
  targets: z
    .partialRecord(z.enum(PRUNABLE), share)
    .default({})
    .describe(
      'Targets of single components, up to 1; with only `targets` given, set `target` to 0 for the others. W_AO and W_O lose outputs (neuron pruning) only if they are named here: those are put back at run time, which takes most of what it saves.',
    ),
  bySensitivity: z
    .boolean()
    .default(false)
    .describe(
      'Let the sensitivity stage right before this one (with a `prune` choice) divide `target` among the components: each gets a target of its own, of at most 0.95.',
    ),
  hidden: share
    .default(0)
    .describe(
      'Share of the hidden dimensions to remove, the same ones in embeddings, every layer and the head (structured pruning).',
    ),
  vocabulary: z
    .strictObject({
      minCount: z
        .int()
        .min(1)
        .default(1)
        .describe('A token stays if the training and dev texts have it so often; special tokens always do.'),
    })
    .optional()
    .describe(
      'Cut the rows of the token table that the data never reads, and rewrite the tokenizer; alone with target 0 and epochs 0.',
    ),
  scope: z
    .enum(['global', 'layer', 'matrix'])
    .default('global')
    .describe('Which units share one threshold: all, those of a layer, or those of one matrix.'),
  floor: share.default(0).describe('Share of every group of neurons that stays in any case.'),
  shape: z.enum(['one-shot', 'linear', 'cubic']).default('linear').describe('How sparsity grows.'),
  warmupEpochs: z
    .number()
    .min(0)
    .default(0)
    .describe(
      'Training before the first weight goes; trained scores (movement, l0, pst) start from nothing and need it.',
    ),
  pruningEpochs: z
    .number()
    .min(0)
    .default(1)
    .describe('Length of the pruning phase; the rest of `epochs` is recovery.'),
  stepsPerEpoch: z
    .int()
    .min(1)
    .max(1000)
    .default(2)
    .describe('Pruning steps in an epoch; masks of trained scores (movement, l0, pst) are renewed after every step.'),
  distill: z
    .strictObject({
      weight: share.default(0.5).describe('Share of the dense model in the loss.'),
      temperature: z.number().positive().default(2).describe('Softens both distributions.'),
    })
    .optional()
    .describe('Let the dense model teach the pruned one while it is pruned and recovers.'),
  rewind: z
    .strictObject({
      epochs: z.number().positive().default(3).describe('Dense training before the masks are found.'),
      toStep: z.int().min(0).default(0).describe('Step whose weights the kept connections go back to.'),
    })
    .optional()
    .describe(
      'Lottery ticket: train dense, find masks, rewind the weights, train the subnetwork (unstructured, magnitude).',
    ),
  scoreLearningRate: z
    .number()
    .positive()
    .optional()
    .describe(
      "Learning rate of trained scores; default 0.01 for movement and l0, the optimizer's for pst, whose scores are added to |W|.",
    ),
  pst: z
    .strictObject({
      rank: z.int().min(1).max(256).default(8).describe('Rank of the scores A B.'),
      updateRank: z.int().min(1).max(256).default(8).describe('Rank of the weight update U V.'),
      alpha1: z.number().min(0).default(1).describe('Weight of the low-rank score A B.'),
      alpha2: z.number().min(0).default(1).describe('Weight of the row and column scores R + C.'),
    })
    .prefault({})
    .describe('Parameter-efficient sparsity: S = |W| + alpha1 A B + alpha2 (R + C).'),
  l0Penalty: z.number().min(0).default(1).describe('Weight of the expected share of open gates in the loss (l0).'),
  heads: z
    .enum(['equal', 'padded', 'exact'])
    .default('equal')
    .describe(
      'Sizes of the heads of a layer when neurons go: all equal, so that everything removed is gone; as importance has it, padded to the largest; or each at its own size, one product for each run of equal heads.',
    ),
});
export type PruneConfig = z.infer<typeof pruneSchema>;
export type Importance = NonNullable<PruneConfig['importance']>;

export type Structured = Extract<Granularity, { type: 'neuron' | 'head' | 'layer' }>;

export const isStructured = (granularity: Granularity): granularity is Structured =>
  granularity.type === 'neuron' || granularity.type === 'head' || granularity.type === 'layer';

/** Importances that make sense for structured and for unstructured pruning; the first is the default. */
export const IMPORTANCES: Readonly<Record<'structured' | 'unstructured', readonly Importance[]>> = {
  structured: ['activation-gradient', 'taylor', 'magnitude', 'random'],
  unstructured: ['magnitude', 'movement', 'pst', 'l0', 'taylor', 'random'],
};

/** Importances that are parameters of the training graph and learn with it. */
export type TrainedImportance = 'movement' | 'pst' | 'l0';

export const isTrained = (importance: Importance): importance is TrainedImportance =>
  importance === 'movement' || importance === 'pst' || importance === 'l0';

export const importanceOf = ({ importance, granularity }: PruneConfig): Importance =>
  importance ?? IMPORTANCES[isStructured(granularity) ? 'structured' : 'unstructured'][0];
