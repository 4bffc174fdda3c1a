/** @file Settings of the quantize stage. */
import { z } from 'zod';
import { trainingSchema } from '../finetune/config';
import { optimizerSchema } from '../train/optimizer';
import { BLOCK_BITS, BLOCK_SIZES } from './blocks';
import { EMISSION_FORMS } from './emit';
import { exclusionsSchema } from './exclude';
import { rangeSchema } from './range';

export const QUANTIZE_MODES = ['dynamic', 'static', 'weight-only', 'fp16'] as const;
export type QuantizeMode = (typeof QUANTIZE_MODES)[number];

const weightsSchema = z.strictObject({
  bits: z
    .literal(BLOCK_BITS)
    .default(4)
    .describe('Bits per weight. 6-bit codes are unpacked to 8 bits when the model is loaded: smaller on disk only.'),
  block: z
    .literal(BLOCK_SIZES)
    .default(32)
    .describe('Inputs that share a float32 scale: smaller is more exact and larger on disk.'),
  symmetric: z.boolean().default(true).describe('Zero point in the middle; otherwise each block has one of its own.'),
  rounding: z
    .enum(['nearest', 'gptq'])
    .default('nearest')
    .describe('nearest needs no data. gptq rounds so that outputs on calibration texts change least.'),
  damping: z
    .number()
    .positive()
    .max(1)
    .default(0.01)
    .describe('Of gptq: added to the diagonal of X^T X, as a share of its mean.'),
  compute: z
    .enum(['int8', 'float32'])
    .default('int8')
    .describe('How products are computed: activations quantized to int8 in blocks, which is faster, or float32.'),
});
export type WeightsConfig = z.infer<typeof weightsSchema>;

const activationsSchema = rangeSchema.extend({
  outputs: z
    .enum(['float', 'int8'])
    .default('float')
    .describe(
      'What products give: float numbers (MatMulIntegerToFloat), or int8 ones again (QLinearMatMul), less exact.',
    ),
});

const calibrationSchema = z.strictObject({
  rows: z.int().min(1).max(100_000).default(256).describe('Texts to run, drawn at random.'),
  maxLength: z.int().min(2).max(8192).default(128).describe('Longest text in tokens; longer ones are cut.'),
});

const trainSchema = trainingSchema
  .extend({
    epochs: trainingSchema.shape.epochs.default(1),
    dropout: trainingSchema.shape.dropout.default(0),
    optimizer: optimizerSchema
      .extend({ learningRate: optimizerSchema.shape.learningRate.default(2e-5) })
      .prefault({})
      .describe('AdamW.'),
    scaleLearningRate: z
      .number()
      .positive()
      .default(1e-3)
      .describe('Learning rate of the logarithms of the scales: 0.001 changes a scale by about 0.1 % a step.'),
  })
  .describe('Train on with quantization in the graph (straight-through, learned scales). Needs a train split.');
export type QuantizeTraining = z.infer<typeof trainSchema>;

export const quantizeSchema = z.strictObject({
  mode: z
    .enum(QUANTIZE_MODES)
    .default('dynamic')
    .describe(
      'dynamic: int8 weights, activations quantized while the model runs. static: activations quantized on ranges found by calibration. weight-only: weights of 8, 6 or 4 bits in blocks. fp16: weights stored in half precision, computed in float32.',
    ),
  form: z
    .enum(['auto', ...EMISSION_FORMS])
    .default('auto')
    .describe(
      'Mode dynamic: operators that the file uses: "matmul-integer" is standard ONNX, "dynamic-quantize-matmul" is of ONNX Runtime; "auto" tries both on the worker and takes the faster.',
    ),
  weights: weightsSchema
    .optional()
    .describe('Mode weight-only: how weights are stored; default: 4 bits in blocks of 32.'),
  activations: activationsSchema.optional().describe('Mode static: how ranges are chosen; default: min-max.'),
  calibration: calibrationSchema
    .optional()
    .describe('Texts for mode static and for gptq: from the data set "calibration", else from dev or train of "data".'),
  train: trainSchema.optional(),
  exclude: exclusionsSchema.prefault({}).describe('Weights that stay float.'),
});
export type QuantizeConfig = z.infer<typeof quantizeSchema>;

/** Settings of the mode, defaults filled in. */
export const weightSettings = ({ weights }: QuantizeConfig): WeightsConfig => weights ?? weightsSchema.parse({});
export const activationSettings = ({ activations }: QuantizeConfig): z.infer<typeof activationsSchema> =>
  activations ?? activationsSchema.parse({});
export const calibrationSettings = ({ calibration }: QuantizeConfig): z.infer<typeof calibrationSchema> =>
  calibration ?? calibrationSchema.parse({});

/** Whether texts are run through the float model first. */
export const calibrates = (config: QuantizeConfig): boolean =>
  config.mode === 'static' || (config.mode === 'weight-only' && weightSettings(config).rounding === 'gptq');
