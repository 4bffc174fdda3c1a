import { z } from 'zod';
import { COMPONENTS } from '../bundle/manifest';
import { optimizerSchema } from '../train/optimizer';
import { precisionSchema } from '../train/precision';
import { scheduleSchema } from '../train/schedule';

/** A model to train from random weights, for runs without (or in place of) an input model. */
export const scratchSchema = z
  .strictObject({
    architecture: z.enum(['bert', 'roberta', 'distilbert', 'gpt2']).default('bert').describe('Which transformer.'),
    layers: z.int().min(1).max(48).default(4).describe('Number of layers.'),
    hidden: z.int().min(8).max(4096).default(256).describe('Width of the residual stream.'),
    heads: z
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe('Attention heads per layer; default: one per 64 of the width, or fewer that divide it.'),
    ffn: z.int().min(8).optional().describe('Feed-forward neurons per layer; default 4 x hidden.'),
    vocabulary: z
      .int()
      .min(100)
      .max(200_000)
      .default(8000)
      .describe(
        'Entries of the WordPiece vocabulary that is trained on the data; not used with an input model, whose tokenizer is kept.',
      ),
  })
  .refine(({ hidden, heads = 1 }) => hidden % heads === 0, {
    path: ['heads'],
    error: 'The width must be a multiple of the number of heads.',
  });
export type ScratchConfig = z.infer<typeof scratchSchema>;

const embedding = z.int().min(8).max(2048).default(128).describe('Width of the word vectors.');
export const textCnnShape = {
  embedding,
  kernels: z.array(z.int().min(1).max(16)).min(1).max(8).default([2, 3, 4]).describe('Widths of the convolutions.'),
  filters: z.int().min(1).max(2048).default(128).describe('Filters of each width.'),
};
export const bilstmShape = {
  embedding,
  hidden: z.int().min(1).max(2048).default(128).describe('Units of each direction.'),
  layers: z.int().min(1).max(4).default(1).describe('Layers.'),
  dense: z.int().min(1).max(4096).default(128).describe('Neurons before the classifier.'),
};
const { vocabulary } = scratchSchema.shape;
const textCnnScratch = z
  .strictObject({ architecture: z.literal('textcnn'), ...textCnnShape, vocabulary })
  .describe('Convolutions over words.');
const bilstmScratch = z
  .strictObject({ architecture: z.literal('bilstm'), ...bilstmShape, vocabulary })
  .describe('A bidirectional LSTM.');
export const classifierScratchSchema = z.union([scratchSchema, textCnnScratch, bilstmScratch]);
export type ClassifierScratch = z.infer<typeof classifierScratchSchema>;

const methodSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('full') }).describe('Train every weight.'),
  z
    .strictObject({
      type: z.literal('lora'),
      rank: z.int().min(1).max(512).default(8).describe('Rank of the update.'),
      alpha: z.number().positive().default(16).describe('The update is scaled by alpha / rank.'),
      targets: z.array(z.enum(COMPONENTS)).min(1).default(['W_Q', 'W_V']).describe('Matrices that get an update.'),
    })
    .describe('Train low-rank updates and the head; merged into the weights at the end.'),
  z
    .strictObject({
      type: z.literal('adapters'),
      size: z.int().min(1).max(4096).default(64).describe('Width of the bottleneck.'),
    })
    .describe('Train bottleneck adapters and the head; they stay in the model.'),
  z
    .strictObject({
      type: z.literal('prefix'),
      length: z.int().min(1).max(512).default(16).describe('Key and value vectors before the text.'),
    })
    .describe('Train a prefix for every attention and the head; it stays in the model.'),
]);
export type MethodConfig = z.infer<typeof methodSchema>;

/** How to train; shared by every stage that does. */
export const trainingSchema = z.strictObject({
  epochs: z.number().positive().max(1000).default(3).describe('Passes over the training split; may be a fraction.'),
  batchSize: z.int().min(1).max(4096).default(32).describe('Rows per forward pass.'),
  accumulate: z.int().min(1).max(1024).default(1).describe('Forward passes per optimizer step.'),
  maxLength: z
    .int()
    .min(2)
    .max(8192)
    .default(128)
    .describe('Longest text in tokens; longer ones are cut. At most what the model takes.'),
  optimizer: optimizerSchema
    .extend({ learningRate: optimizerSchema.shape.learningRate.default(5e-5) })
    .prefault({})
    .describe('AdamW.'),
  schedule: scheduleSchema.prefault({}).describe('How the learning rate changes over the steps.'),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe('Dropout of embeddings, attention and sub-layer outputs (transformers).'),
  labelSmoothing: z.number().min(0).lt(1).default(0).describe('Share of the target spread over all classes.'),
  classWeights: z
    .enum(['none', 'balanced'])
    .default('none')
    .describe('balanced: classes count in inverse proportion to their frequency.'),
  precision: precisionSchema,
  metric: z
    .enum(['accuracy', 'macroF1', 'mcc', 'loss', 'pearson'])
    .optional()
    .describe(
      'What decides which weights are kept; default accuracy, for regression pearson, for language models loss.',
    ),
  keepBest: z
    .boolean()
    .default(true)
    .describe('End with the best weights on the dev split; without that split the last.'),
  evaluateEverySteps: z.int().min(1).optional().describe('Steps between evaluations; default: each epoch.'),
  patience: z.int().min(1).optional().describe('Stop after this many evaluations without improvement.'),
});
export type TrainingConfig = z.infer<typeof trainingSchema>;

export const finetuneSchema = trainingSchema.extend({
  scratch: classifierScratchSchema
    .optional()
    .describe("Start from random weights of this size. With an input model, that model's tokenizer is used."),
  method: methodSchema.default({ type: 'full' }).describe('Which weights are trained.'),
});
export type FinetuneConfig = z.infer<typeof finetuneSchema>;
