import { invalid } from '../errors';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { normalizeAxis, staticShape } from '../ops/shapes';

/**
 * Multiplies a value by a vector along one axis: attention heads (axis 1 of [batch, heads, sequence, size]) or FFN
 * neurons (the last axis). With a gate of ones the gradient with respect to it is the importance of each head or neuron
 * (Michel et al. 2019, arXiv:1905.10650).
 *
 * @param name Name of the new graph input: float32 [dimension].
 * @returns the input
 */
export function addGate(build: GraphBuilder, value: Value, axis: number, name: string): Value {
  const { producer } = value;
  if (!producer) throw invalid('autodiff.gate', `"${value.name}" is not computed by a node, so it cannot be gated.`);
  const dims = staticShape(value, producer);
  const at = normalizeAxis(producer, axis, dims.length);
  const readers = [...value.uses];
  const gate = build.input(name, 'float32', [dims[at]]);
  const shaped = build.op(
    'Reshape',
    [gate, build.int64s(dims.map((dim, i) => (i === at ? dim : 1)))],
    {},
    `${name}.shaped`,
  );
  const gated = build.op('Mul', [value, shaped], {}, `${value.name}.gated`);
  for (const { node, index } of readers) build.graph.setInput(node, index, gated);
  build.graph.outputs.forEach((output, i) => {
    if (output === value) build.graph.outputs[i] = gated;
  });
  build.graph.sort();
  return gate;
}
