import { z } from 'zod';
import { bilstmShape, scratchSchema, textCnnShape, trainingSchema } from '../finetune/config';
import type { TrainingConfig } from '../finetune/config';

const vocabulary = z
  .int()
  .min(100)
  .max(200_000)
  .optional()
  .describe("Entries of a WordPiece vocabulary trained on the transfer texts; default: the teacher's tokenizer.");

const transformer = z
  .strictObject({ type: z.literal('transformer'), ...scratchSchema.shape, vocabulary })
  .describe('A transformer with fresh weights.');
const layers = z
  .strictObject({
    type: z.literal('layers'),
    keep: z.array(z.int().min(0)).min(1).max(48).describe("The teacher's layers to start from, counted from 0."),
  })
  .describe("The teacher's embeddings, head and some of its layers.");
const model = z
  .strictObject({ type: z.literal('model') })
  .describe("The input model itself, whatever it is, learns on; the job's original model teaches it.");
const textcnn = z
  .strictObject({ type: z.literal('textcnn'), ...textCnnShape, vocabulary })
  .describe('Convolutions over words.');
const bilstm = z
  .strictObject({ type: z.literal('bilstm'), ...bilstmShape, vocabulary })
  .describe('A bidirectional LSTM.');
const dan = z
  .strictObject({
    type: z.literal('dan'),
    minOrder: z.int().min(1).max(4).default(1).describe('Words of the shortest n-grams.'),
    maxOrder: z.int().min(1).max(4).default(4).describe('Words of the longest n-grams.'),
    ngrams: z.int().min(1).max(4_000_000).default(1_000_000).describe('Most frequent n-grams to know.'),
    dimension: z.int().min(8).max(4096).default(256).describe('Width of the table.'),
    hidden: z.int().min(8).max(4096).optional().describe('Neurons of the dense layer; default: the dimension.'),
    pooling: z
      .enum(['mean', 'sum', 'max', 'attentive'])
      .default('mean')
      .describe('How the vectors of a text become one.'),
    start: z
      .enum(['teacher', 'random'])
      .default('teacher')
      .describe(
        "Where rows start: at the mean of their words in the teacher's word vectors, so that words of the same kind " +
          'start alike, or at random.',
      ),
    featureDropout: z.number().min(0).lt(1).default(0.1).describe('Share of the n-grams that a text loses each epoch.'),
    keepNgrams: z
      .number()
      .positive()
      .max(1)
      .default(1)
      .describe('Share of the trained table to keep: the n-grams that are most frequent in the texts it learned from.'),
    countMegabytes: z.int().min(2).max(16_384).default(512).describe('Memory for counting n-grams.'),
  })
  .describe('The mean of n-gram vectors and two dense layers: about a thousand times faster than its teacher.');

export const studentSchema = z.discriminatedUnion('type', [transformer, layers, model, textcnn, bilstm, dan]);
export type StudentConfig = z.infer<typeof studentSchema>;
export type DanStudent = Extract<StudentConfig, { type: 'dan' }>;
export type GraphStudent = Exclude<StudentConfig, DanStudent>;

const AUGMENTATIONS = ['drop', 'splice', 'replace', 'span'] as const;
const augmentSchema = z.strictObject({
  texts: z.int().min(0).max(100).default(0).describe('Made-up texts for each training text.'),
  most: z
    .int()
    .min(0)
    .max(100_000_000)
    .default(200_000)
    .describe('Made-up texts in all: of a large data set, each training text gets fewer.'),
  by: z
    .array(z.enum(AUGMENTATIONS))
    .min(1)
    .default(['replace', 'drop', 'replace', 'splice'])
    .describe(
      "How, in turn. drop: words go at random. splice: a text's beginning and another's end. replace: words become " +
        "others that are near in the teacher's word vectors. span: a few successive words.",
    ),
  rate: z.number().positive().max(1).default(0.3).describe('Share of the words that go, or are replaced.'),
  near: z.int().min(1).max(100).default(12).describe('How many near words of each there are to choose from.'),
});

export const distillSchema = trainingSchema.extend({
  student: studentSchema.default(() => studentSchema.parse({ type: 'dan' })).describe('What learns.'),
  epochs: z.number().positive().max(1000).default(10).describe('Passes over the transfer texts.'),
  optimizer: trainingSchema.shape.optimizer
    .unwrap()
    .extend({
      learningRate: z
        .number()
        .positive()
        .optional()
        .describe('Peak learning rate; default by student: layers and model 5e-5, transformer 5e-4, others 1e-3.'),
    })
    .prefault({})
    .describe('AdamW; a DAN updates the rows of a batch only and does not clip.'),
  temperature: z.number().positive().max(100).default(2).describe('Softens both distributions.'),
  weight: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Share of the teacher in the loss of labelled texts; the rest is cross-entropy with their labels.'),
  match: z
    .strictObject({
      hidden: z.number().min(0).default(0).describe("Weight of the difference from the teacher's hidden states."),
      hiddenLoss: z
        .enum(['mse', 'cosine'])
        .default('mse')
        .describe(
          'Mean squared error, or one minus the cosine, of each token; other widths go through a learned projection.',
        ),
      attention: z
        .number()
        .min(0)
        .default(0)
        .describe("Weight of the squared difference from the teacher's attention, averaged over heads."),
    })
    .prefault({})
    .describe("A transformer or layers student also follows the teacher's layers, spread evenly over its own."),
  original: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("Share of the job's original model as a second teacher: its logits are mixed with the input model's."),
  teacherWeights: z
    .array(z.number().positive())
    .max(16)
    .optional()
    .describe("Shares of the job's further teachers beside the input model's, which is 1; default 1 for each."),
  mode: z
    .enum(['standard', 'private'])
    .default('standard')
    .describe(
      'standard: training texts and, where given, unlabelled ones. private: unlabelled texts only; no task data is used.',
    ),
  augment: augmentSchema
    .prefault({})
    .describe('Made-up variants of the training texts, which the teacher labels: they say what it knows nearby.'),
  fineTune: z
    .strictObject({
      epochs: z.number().min(0).max(1000).default(3).describe('Passes over the labelled texts; 0: none.'),
      learningRate: z.number().positive().optional().describe('Default: a third of that of distillation.'),
    })
    .prefault({})
    .describe('Learning from the labels afterwards; the better of both on the dev split is kept. Not in private mode.'),
});
export type DistillConfig = z.infer<typeof distillSchema>;

const LEARNING_RATES: Readonly<Record<StudentConfig['type'], number>> = {
  transformer: 5e-4,
  layers: 5e-5,
  model: 5e-5,
  textcnn: 1e-3,
  bilstm: 1e-3,
  dan: 1e-3,
};

export const learningRateOf = ({ student, optimizer }: DistillConfig): number =>
  optimizer.learningRate ?? LEARNING_RATES[student.type];

/** The settings of one of the two parts. Fine-tuning starts from weights that are good already: a third of the rate. */
export function trainingConfig(config: DistillConfig, part: 'distill' | 'fineTune'): TrainingConfig {
  const rate = learningRateOf(config);
  const isFineTune = part === 'fineTune';
  const learningRate = isFineTune ? (config.fineTune.learningRate ?? rate / 3) : rate;
  return {
    ...config,
    epochs: isFineTune ? config.fineTune.epochs : config.epochs,
    optimizer: { ...config.optimizer, learningRate },
  };
}
