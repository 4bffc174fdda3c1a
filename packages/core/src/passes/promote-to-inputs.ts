import type { Model, Tensor } from '../graph';
import { invalid } from '../errors';

/**
 * Turns initializers into graph inputs, in place, so that a trainer can feed them from its own memory.
 * ```
 * graph main(%x) { %w: float32[64,64] ... }   ->   graph main(%x, %w: float32[64,64]) { ... }
 * ```
 * @returns the data that the initializers had, by name
 * @throws ModelpressError `graph.not-an-initializer`
 */
export function promoteToInputs({ graph }: Model, names: Iterable<string>): Map<string, Tensor> {
  const data = new Map<string, Tensor>();
  for (const name of names) {
    const value = graph.value(name);
    if (!value.constant) throw invalid('graph.not-an-initializer', `"${name}" is not an initializer of the graph.`);
    data.set(name, value.constant);
    value.constant = undefined;
    graph.inputs.push(value);
  }
  return data;
}
