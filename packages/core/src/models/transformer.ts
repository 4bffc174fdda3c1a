/** @file One entry to the transformer builders. */
import { buildBert } from './bert';
import type { Head, TransformerArchitecture, TransformerConfig } from './config';
import { buildDistilbert } from './distilbert';
import { buildGpt2 } from './gpt2';
import type { BuiltModel } from './network';
import { buildRoberta } from './roberta';
import type { WeightSource } from './weights';

const BUILDERS: Readonly<
  Record<TransformerArchitecture, (config: TransformerConfig, head: Head, weights: WeightSource) => BuiltModel>
> = { bert: buildBert, roberta: buildRoberta, distilbert: buildDistilbert, gpt2: buildGpt2 };

/**
 * Builds the ONNX graph of a transformer (opset 21, dynamic batch and sequence), used for training and export alike.
 * Parameters are named as in the Hugging Face checkpoint of the architecture, matrices stored [in, out].
 * @throws `model.task` when the architecture cannot do the task, `model.weight-shape` when a weight does not fit
 */
export function buildTransformer(config: TransformerConfig, head: Head, weights: WeightSource): BuiltModel {
  return BUILDERS[config.architecture](config, head, weights);
}
