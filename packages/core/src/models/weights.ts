/** @file Where a builder's parameters come from. */
import { invalid } from '../errors';
import { sizeOf, Tensor } from '../graph';
import type { Model } from '../graph';
import { Random, streamKey } from '../train/random';

/** What a parameter is, which decides how a fresh one starts. */
export type WeightRole = 'matrix' | 'embedding' | 'bias' | 'scale';

/**
 * Gives the tensor of a named parameter. Names are those of the Hugging Face checkpoint (with the model's prefix);
 * matrices are [in, out].
 */
export type WeightSource = (name: string, dims: readonly number[], role: WeightRole) => Tensor;

/**
 * Fresh weights as transformers initialises them: matrices and embeddings N(0, range), biases 0, scales 1. Each
 * parameter draws from a stream of its own (seed and name), so one layer more does not change the others.
 */
export function freshWeights(seed: number, range: number): WeightSource {
  return (name, dims, role) => {
    const values = new Float32Array(sizeOf(dims));
    if (role === 'scale') values.fill(1);
    if (role === 'matrix' || role === 'embedding') {
      const random = new Random(streamOf(seed, name));
      for (let i = 0; i < values.length; i++) values[i] = range * random.normal();
    }
    return Tensor.float32(dims, values);
  };
}

function streamOf(seed: number, name: string): readonly [number, number, number, number] {
  const words = [seed, ...new TextEncoder().encode(name)];
  return [...streamKey(...words, 1), ...streamKey(...words, 2)];
}

/** The weights of a model, for building it in another form. */
export function weightsOf({ graph }: Model): WeightSource {
  return (name) => {
    const { constant } = graph.value(name);
    if (constant) return constant;
    throw invalid('model.no-weight', `"${name}" is not a weight of the model.`, { tensor: name });
  };
}
