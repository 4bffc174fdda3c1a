/** @file The manifest's component map and structure, from what was found in a graph. */
import type { ComponentEntry, Component, Structure } from '../../bundle/manifest';
import type { Value } from '../../graph';
import { constantOf } from '../../ops/constant-value';
import type { Anatomy, AnatomyLayer } from './anatomy';
import type { Linear } from './linear';

/** The component map of a manifest. */
export function componentsOf({ embeddings, layers, pooler, classifier }: Anatomy): ComponentEntry[] {
  const { tokens, positions, tokenTypes } = embeddings;
  const tables = [tokens, positions, tokenTypes].filter((table) => table !== undefined);
  return [
    ...tables.map(({ name }): ComponentEntry => ({ component: 'embeddings', weight: name })),
    ...layers.flatMap(({ attention, ffn }, layer) => [
      ...entry('W_Q', attention?.query, layer),
      ...entry('W_K', attention?.key, layer),
      ...entry('W_V', attention?.value, layer),
      ...entry('W_AO', attention?.output, layer),
      ...entry('W_I', ffn?.intermediate, layer),
      ...entry('W_O', ffn?.output, layer),
    ]),
    ...entry('W_P', pooler),
    ...entry('classifier', classifier),
  ];
}

function entry(component: Component, linear: Linear | undefined, layer?: number): ComponentEntry[] {
  if (!linear) return [];
  const { weight, bias, transposed } = linear;
  return [
    {
      component,
      ...(layer === undefined ? {} : { layer }),
      weight: weight.name,
      ...(transposed ? { transposed } : {}),
      ...(bias ? { bias: bias.name } : {}),
    },
  ];
}

/** The sizes of a manifest. */
export function structureFrom({ hidden, embeddings, layers }: Anatomy): Structure {
  return {
    hidden,
    layers: layers.map(layerSizes),
    vocabulary: rowsOf(embeddings.tokens),
    positions: rowsOf(embeddings.positions),
  };
}

const rowsOf = (table: Value | undefined): number => constantOf(table)?.dims[0] ?? 0;

function layerSizes({ attention, ffn }: AnatomyLayer): Structure['layers'][number] {
  const groups = attention?.groups ?? [];
  const repeated = (size: 'queryDim' | 'valueDim'): number[] =>
    groups.flatMap((group) => Array.from({ length: group.heads }, () => group[size]));
  const queryDims = repeated('queryDim');
  return { heads: queryDims.length, queryDims, valueDims: repeated('valueDim'), ffn: ffn?.intermediate.outputs ?? 0 };
}
