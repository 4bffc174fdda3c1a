/**
 * @file A mask over the residual stream, so that a model trains as if hidden dimensions were gone already.
 *
 * What hides a dimension is its layer normalisation: y = LN over the K kept of H dimensions, 0 at the others. The fused
 * operator computes that if the removed dimensions are filled with the mean of the kept ones. The mean is then theirs,
 * and the variance over H is K/H times theirs, which scaling the input by t = sqrt(H/K) makes up for, epsilon included:
 *
 *   u = x * (t keep),   v = u + sum(u) * (holes / K),   y = LN_H(v; gamma / t, beta)
 *
 * with gamma and beta 0 at removed dimensions. So nothing else needs a mask: what reads the stream reads zeros there,
 * and what writes it is not heard.
 */
import type { HostTensor } from '../runtime/runtime';
import { GraphBuilder } from '../graph/builder';
import type { Graph, Model, Value } from '../graph';

/** Graph inputs of a masked model. */
const KEEP = 'hidden_mask.keep';
const HOLES = 'hidden_mask.holes';
const RESCALE = 'hidden_mask.rescale';

/**
 * Puts the mask around every LayerNormalization over `hidden` dimensions.
 * @param model with LayerNormalization nodes, as our builders make them; changed in place
 */
export function maskHidden(model: Model, hidden: number): void {
  const { graph } = model;
  const build = new GraphBuilder(model);
  const keep = build.input(KEEP, 'float32', [hidden]);
  const holes = build.input(HOLES, 'float32', [hidden]);
  const rescale = build.input(RESCALE, 'float32', []);
  for (const node of hiddenNorms(graph, hidden)) {
    build.scope(node.name, () => {
      const kept = build.op('Mul', [node.input(0), keep], {}, 'kept');
      const total = build.op('ReduceSum', [kept, build.int64s([-1])], { keepdims: 1 }, 'total');
      const filled = build.op('Add', [kept, build.op('Mul', [total, holes])], {}, 'filled');
      graph.setInput(node, 0, filled);
      graph.setInput(node, 1, build.op('Mul', [node.input(1), rescale], {}, 'scale'));
    });
  }
  graph.sort();
}

/** Names of the scales and biases of every normalisation of the residual stream: what the mask must hold at zero. */
export function hiddenNormParameters({ graph }: Model, hidden: number): { scale: string; bias: string }[] {
  return hiddenNorms(graph, hidden).map((node) => ({ scale: node.input(1).name, bias: node.input(2).name }));
}

const hiddenNorms = (graph: Graph, hidden: number): Graph['nodes'] =>
  graph.nodes.filter((node) => node.opType === 'LayerNormalization' && node.input(1).constant?.dims[0] === hidden);

/** What a masked model is fed. @param mask by hidden dimension, 1 = kept; at least one is */
export function hiddenMaskFeeds(mask: Uint8Array): Record<string, HostTensor> {
  const kept = mask.reduce((sum, one) => sum + one, 0);
  const scale = Math.sqrt(mask.length / kept);
  const vector = (value: (one: number) => number): HostTensor => ({
    dtype: 'float32',
    dims: [mask.length],
    data: Float32Array.from(mask, value),
  });
  return {
    [KEEP]: vector((one) => one * scale),
    [HOLES]: vector((one) => (1 - one) / kept),
    [RESCALE]: { dtype: 'float32', dims: [], data: Float32Array.of(1 / scale) },
  };
}

/** The value that a normalisation's input is a masked form of; the value itself where there is no mask. */
export function beforeHiddenMask(value: Value): Value {
  const kept = value.producer?.opType === 'Add' ? value.producer.input(0).producer : undefined;
  return kept?.opType === 'Mul' && kept.input(1).name === KEEP ? kept.input(0) : value;
}
