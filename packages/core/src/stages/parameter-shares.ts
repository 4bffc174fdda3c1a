/** @file How a model's parameters divide among its components, from the manifest alone. */
import type { Component, Manifest } from '../bundle/manifest';

export interface ParameterShare {
  readonly component: Component;
  readonly layer?: number;
  /** Of all parameters, 0..1. */
  readonly share: number;
}

/** Shares of the embeddings and, where the structure is known, of every matrix of every layer. */
export function parameterShares({ parameters, structure }: Manifest): ParameterShare[] {
  const share = (count: number): number => (parameters.total === 0 ? 0 : count / parameters.total);
  const embeddings: ParameterShare = { component: 'embeddings', share: share(parameters.embeddings) };
  if (!structure) return [embeddings];
  const { hidden } = structure;
  const layers = structure.layers.flatMap((sizes, layer): ParameterShare[] => {
    const { ffn, attentionOutputs, ffnOutputs } = sizes;
    const [query, value] = [sum(sizes.queryDims), sum(sizes.valueDims)];
    const matrices: [Component, number][] = [
      ['W_Q', hidden * query],
      ['W_K', hidden * query],
      ['W_V', hidden * value],
      ['W_AO', value * (attentionOutputs?.length ?? hidden)],
      ['W_I', hidden * ffn],
      ['W_O', ffn * (ffnOutputs?.length ?? hidden)],
    ];
    return matrices.map(([component, size]) => ({ component, layer, share: share(size) }));
  });
  return [embeddings, ...layers];
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
