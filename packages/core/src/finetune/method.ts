/** @file Which weights are trained, and how the result becomes a model again. */
import { addAdapters, addLora, addPrefix, mergeLora } from '../adapt';
import type { Bundle } from '../bundle/bundle';
import { clone } from '../graph';
import type { Model } from '../graph';
import { parameterNames } from '../passes';
import type { Trainer } from '../train/trainer';
import type { MethodConfig } from './config';

/** A model ready for training under a method. */
export interface PreparedMethod {
  readonly model: Model;
  /** Initializers to train. */
  readonly trainable: readonly string[];
  /** The finished model with the trainer's weights. */
  finish(trainer: Trainer): Model;
}

/** Applies a method to a copy of the bundle's model. */
export function prepareMethod(
  { model: original, manifest }: Bundle,
  method: MethodConfig,
  seed: number,
): PreparedMethod {
  const model = clone(original);
  const exported = (trainer: Trainer): Model => trainer.exportModel();
  switch (method.type) {
    case 'full':
      return { model, trainable: parameterNames(model), finish: exported };
    case 'lora': {
      const pairs = addLora(model, manifest.components, { ...method, seed });
      const added = pairs.flatMap(({ a, b }) => [a, b]);
      return {
        model,
        trainable: [...added, ...headParameters(model)],
        finish(trainer) {
          const trained = trainer.exportModel();
          const merged = clone(original);
          for (const name of headParameters(merged))
            merged.graph.value(name).constant = trained.graph.value(name).constant;
          mergeLora(merged.graph, pairs, method, (name) => trained.graph.value(name).constant!.data as Float32Array);
          return merged;
        },
      };
    }
    case 'adapters': {
      const added = addAdapters(model, manifest.components, { ...method, seed });
      return { model, trainable: [...added, ...headParameters(model), ...normParameters(model)], finish: exported };
    }
    case 'prefix': {
      const added = addPrefix(model, { ...method, seed });
      return { model, trainable: [...added, ...headParameters(model)], finish: exported };
    }
  }
}

/** Pooler and classifier: what a task must always learn. */
export function headParameters(model: Model): string[] {
  return parameterNames(model).filter((name) => /(^|\.)(pooler|pre_classifier|classifier|score)\./.test(name));
}

/** Scales and shifts of the layer norms, which adapters train too (Houlsby et al. 2019, section 2.1). */
function normParameters(model: Model): string[] {
  const norms = model.graph.nodes.filter((node) => node.opType === 'LayerNormalization');
  return [...new Set(norms.flatMap((node) => [node.input(1), node.input(2)]).map((value) => value.name))];
}
