/** @file Quantization-aware training: fine-tunes with quantization in the graph, then hands over weights and scales. */
import { refreshManifest } from '../bundle';
import type { Bundle } from '../bundle';
import type { TaskLoss } from '../finetune/loss';
import { trainOn } from '../finetune/train-on';
import type { TokenizedData, TrainingContext, TrainingOutcome } from '../finetune/train-on';
import { clone, Tensor } from '../graph';
import type { Model } from '../graph';
import { parameterNames } from '../passes';
import type { ParameterSlot } from '../train/slabs';
import { outputRows, roundToBlocks } from './blocks';
import type { BlockCodes } from './blocks';
import type { QuantizeTraining } from './config';
import { blockOrder, fakeQuantize, learnedScales } from './fake-quantize';
import type { FakeQuantized } from './fake-quantize';
import type { Exclusions } from './exclude';
import type { HalfMethod, QuantizeMethod } from './method';

export interface QuantizedTraining extends Omit<TrainingOutcome, 'trainer'> {
  /** The float model with the trained weights. */
  readonly bundle: Bundle;
  /** The method with learned scales in it. */
  readonly method: QuantizeMethod;
}

/** Weights with fewer elements are not quantized: the default of `quantizeModel`. */
const MIN_ELEMENTS = 1024;

/** Trains for what `method` will do; scales start where the method has them. */
export async function trainQuantized(
  config: QuantizeTraining,
  context: TrainingContext,
  bundle: Bundle,
  data: TokenizedData,
  loss: TaskLoss,
  method: Exclude<QuantizeMethod, HalfMethod>,
  exclude: Exclusions,
): Promise<QuantizedTraining> {
  const { manifest } = bundle;
  const model = clone(bundle.model);
  const fake = fakeQuantize(model, {
    exclude,
    components: manifest.components,
    minElements: MIN_ELEMENTS,
    ...(method.kind === 'weight-only' && { blocks: method }),
    ...(method.kind === 'static' && { grids: method.grids }),
  });
  const scales = new Set([...fake.weights, ...fake.activations].map(({ parameter }) => parameter));
  const { scaleLearningRate, ...training } = config;
  const options = {
    manifest,
    model,
    trainable: [...parameterNames(bundle.model), ...scales],
    loss,
    data,
    config: training,
    learningRateFactor: (name: string) => (scales.has(name) ? scaleLearningRate / training.optimizer.learningRate : 1),
  };
  return trainOn(options, context, ({ trainer, ...outcome }) => {
    const read = (name: string): Float32Array => trainer.parameter(name).weight;
    const trained = withWeights(bundle.model, trainer.slabs.slots);
    return {
      ...outcome,
      bundle: { ...bundle, model: trained, manifest: refreshManifest(manifest, trained) },
      method: withScales(method, fake, read, trained),
    };
  });
}

/** A copy of the model with the trained parameters that it has. */
function withWeights(original: Model, slots: readonly ParameterSlot[]): Model {
  const model = clone(original);
  for (const { name, weight } of slots) {
    const value = model.graph.values.get(name);
    if (value?.constant) value.constant = Tensor.float32(value.constant.dims, weight.slice());
  }
  return model;
}

function withScales(
  method: Exclude<QuantizeMethod, HalfMethod>,
  { weights, activations }: FakeQuantized,
  read: (name: string) => Float32Array,
  { graph }: Model,
): QuantizeMethod {
  if (method.kind === 'weight-only') {
    const codes = weights.map((learned): [string, BlockCodes] => {
      const matrix = outputRows(graph.value(learned.of).constant as Tensor<'float32'>, learned.transposed);
      const scales = blockOrder(learnedScales(learned, read(learned.parameter)), matrix.rows, learned.transposed);
      return [learned.of, roundToBlocks(matrix, method, learned.of, scales)];
    });
    return { ...method, codes: new Map(codes) };
  }
  const scales = new Map(weights.map((learned) => [learned.of, learnedScales(learned, read(learned.parameter))]));
  if (method.kind === 'dynamic') return { ...method, scales };
  const grids = new Map(method.grids);
  for (const learned of activations) {
    const [scale] = learnedScales(learned, read(learned.parameter));
    grids.set(learned.of, { scale, zeroPoint: method.grids.get(learned.of)!.zeroPoint });
  }
  return { ...method, scales, grids };
}
