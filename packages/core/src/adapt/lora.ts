/**
 * @file LoRA (Hu et al. 2021, arXiv:2106.09685): y = x W becomes y = x W + (alpha / r) (x A) B with W frozen,
 * A [in, r] Gaussian and B [r, out] zero, so training starts at the original model. Merging adds (alpha / r) A B to W
 * and leaves the graph as it was.
 */
import type { Component, ComponentEntry } from '../bundle/manifest';
import { invalid } from '../errors';
import { Tensor } from '../graph';
import type { Graph, Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { Random } from '../train/random';
import { insertAfter, matMulOf } from './insert';

export interface LoraOptions {
  readonly rank: number;
  /** Scale numerator: updates are multiplied by alpha / rank. */
  readonly alpha: number;
  readonly targets: readonly Component[];
  readonly seed: number;
}

/** One adapted matrix: the initializers that were added for it. */
export interface LoraPair {
  readonly weight: string;
  readonly a: string;
  readonly b: string;
}

/**
 * Adds a low-rank branch to every matrix of the target components, in place.
 * @throws invalid `adapt.no-target` when the model has none of the components; `adapt.rank` when the rank is not
 * smaller than a matrix's smaller side.
 */
export function addLora(model: Model, components: readonly ComponentEntry[], options: LoraOptions): LoraPair[] {
  const { rank, alpha, targets, seed } = options;
  const entries = components.filter((entry) => targets.includes(entry.component));
  if (entries.length === 0) {
    throw invalid('adapt.no-target', `The model has no ${targets.join(' or ')} matrix.`, { field: 'targets' });
  }
  const build = new GraphBuilder(model);
  const random = new Random(seed);
  const pairs = entries.map((entry): LoraPair => {
    const product = matMulOf(model.graph, entry);
    const [inputs, outputs] = product.input(1).shape as [number, number];
    if (rank >= Math.min(inputs, outputs)) {
      const message = `Rank ${rank} is no saving for ${entry.weight} of [${inputs}, ${outputs}].`;
      throw invalid('adapt.rank', message, { field: 'rank' });
    }
    const pair = { weight: entry.weight, a: `${entry.weight}.lora_a`, b: `${entry.weight}.lora_b` };
    const gaussian = Float32Array.from({ length: inputs * rank }, () => random.normal() / Math.sqrt(inputs));
    const a = build.parameter(pair.a, Tensor.float32([inputs, rank], gaussian));
    const b = build.parameter(pair.b, Tensor.float32([rank, outputs], new Float32Array(rank * outputs)));
    insertAfter(model.graph, product.output(), (y) =>
      build.scope(entry.weight, () => {
        const update = build.op('MatMul', [build.op('MatMul', [product.input(0), a]), b]);
        return build.op('Add', [y, build.op('Mul', [update, build.scalar(alpha / rank)])], {}, 'lora');
      }),
    );
    return pair;
  });
  model.graph.sort();
  return pairs;
}

/**
 * W + (alpha / rank) A B for every pair, into the same initializers of `target`: usually a model without the branches.
 * @param value reads a trained parameter by name.
 */
export function mergeLora(
  target: Graph,
  pairs: readonly LoraPair[],
  { rank, alpha }: Pick<LoraOptions, 'rank' | 'alpha'>,
  value: (name: string) => Float32Array,
): void {
  for (const pair of pairs) {
    const weight: Value = target.value(pair.weight);
    const [inputs, outputs] = weight.shape as [number, number];
    const merged = Float32Array.from(value(pair.weight));
    const [a, b] = [value(pair.a), value(pair.b)];
    for (let i = 0; i < inputs; i++) {
      for (let k = 0; k < rank; k++) {
        const scaled = (alpha / rank) * a[i * rank + k];
        for (let j = 0; j < outputs; j++) merged[i * outputs + j] += scaled * b[k * outputs + j];
      }
    }
    weight.constant = Tensor.float32([inputs, outputs], merged);
  }
}
