/** @file A model's own vectors of words. */
import type { Bundle } from '../bundle';
import { unsupported } from '../errors';
import type { Tensor } from '../graph';
import type { Tokenizer } from '../text';

/**
 * The embedding table of a model, [vocabulary, width].
 * @param field the setting that asks for it, and `instead`, what to set without it
 * @throws unsupported `distill.word-vectors` for a model without a float32 one
 */
export function wordVectors(
  { model, manifest }: Pick<Bundle, 'model' | 'manifest'>,
  tokenizer: Tokenizer,
  { field, instead }: { readonly field: string; readonly instead: string },
): Tensor<'float32'> {
  const names = manifest.components.flatMap(({ component, weight }) => (component === 'embeddings' ? [weight] : []));
  for (const { name, constant } of model.graph.initializers) {
    if (!names.includes(name) || constant?.dims.length !== 2 || constant.dtype !== 'float32') continue;
    if (constant.dims[0] >= tokenizer.vocabularySize) return constant as Tensor<'float32'>;
  }
  throw unsupported(
    'distill.word-vectors',
    `The teacher "${manifest.name}" has no float32 word vectors, which ${field} needs: ${instead}.`,
    { field },
  );
}

/** Its column means: what all tokens have in common says nothing about any. */
export function columnMeans({ dims: [rows, width], data }: Tensor<'float32'>): Float64Array {
  const means = new Float64Array(width);
  for (let i = 0; i < data.length; i++) means[i % width] += data[i] / rows;
  return means;
}
