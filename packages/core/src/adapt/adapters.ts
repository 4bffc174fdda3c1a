/**
 * @file Bottleneck adapters (Houlsby et al. 2019, arXiv:1902.00751): after each sub-layer's output projection,
 * h <- h + gelu(h D + d) U + u with D [hidden, size], U [size, hidden]. U starts at zero, so the model starts unchanged.
 * Adapters stay in the exported graph.
 */
import type { ComponentEntry } from '../bundle/manifest';
import { invalid } from '../errors';
import { Tensor } from '../graph';
import type { Model } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { Random } from '../train/random';
import { insertAfter, linearOutput } from './insert';

export interface AdapterOptions {
  /** Width of the bottleneck. */
  readonly size: number;
  readonly seed: number;
}

/** Adds adapters after every W_AO and W_O, in place. @returns the names of the new parameters. */
export function addAdapters(model: Model, components: readonly ComponentEntry[], options: AdapterOptions): string[] {
  const { size, seed } = options;
  const outputs = components.filter(({ component }) => component === 'W_AO' || component === 'W_O');
  const entries = outputs.filter(({ factor }) => factor !== 'first');
  if (entries.length === 0) {
    throw invalid('adapt.no-target', 'Adapters need a transformer: the model has no W_AO and W_O.', {
      field: 'method',
    });
  }
  const build = new GraphBuilder(model);
  const random = new Random(seed);
  const names: string[] = [];
  const parameter = (
    name: string,
    dims: readonly number[],
    values: Float32Array,
  ): ReturnType<GraphBuilder['parameter']> => {
    names.push(name);
    return build.parameter(name, Tensor.float32(dims, values));
  };
  for (const entry of entries) {
    const hidden = model.graph.value(entry.weight).shape![1] as number;
    const base = entry.weight.replace(/\.weight$/, '.adapter');
    insertAfter(model.graph, linearOutput(model.graph, entry), (h) =>
      build.scope(base, () => {
        const gaussian = Float32Array.from({ length: hidden * size }, () => random.normal() / Math.sqrt(hidden));
        const down = parameter(`${base}.down.weight`, [hidden, size], gaussian);
        const downBias = parameter(`${base}.down.bias`, [size], new Float32Array(size));
        const up = parameter(`${base}.up.weight`, [size, hidden], new Float32Array(size * hidden));
        const upBias = parameter(`${base}.up.bias`, [hidden], new Float32Array(hidden));
        const narrow = build.op('Gelu', [build.op('Add', [build.op('MatMul', [h, down]), downBias])]);
        return build.op('Add', [h, build.op('Add', [build.op('MatMul', [narrow, up]), upBias])], {}, 'adapted');
      }),
    );
  }
  model.graph.sort();
  return names;
}
