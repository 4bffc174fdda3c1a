/** @file For tests: small graphs made by hand and their outputs. */
import { Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Attribute } from '../graph';
import { verify } from '../graph/verify';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';

/** A pseudo-random tensor in -1..1. */
export function noise(dims: readonly number[], seed: number): Tensor<'float32'> {
  const size = dims.reduce((a, b) => a * b, 1);
  const values = Array.from({ length: size }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453);
  return Tensor.float32(
    dims,
    values.map((x) => 2 * (x - Math.floor(x)) - 1),
  );
}

export type Attributes = Record<string, Attribute>;

/** Builds small graphs by hand: no shape inference, as in a foreign file. */
export class SiteBuilder {
  readonly graph = new Graph();
  readonly x = this.graph.addInput('x', 'float32', ['n', 32]);
  readonly ids = this.graph.addInput('ids', 'int64', ['n']);

  weight(name: string, dims: readonly number[], seed = 1): Value {
    return this.graph.addInitializer(name, noise(dims, seed));
  }

  node(op: string, inputs: (Value | null)[], name: string, attributes: Attributes = {}): Value {
    const output = new Value(`${name}.out`);
    this.graph.addNode(new Node(op, ONNX_DOMAIN, name, inputs, [output], new Map(Object.entries(attributes))));
    return output;
  }

  finish(output: Value): Model {
    this.graph.renameValue(output, 'y');
    output.dtype = 'float32';
    this.graph.addOutput(output);
    const unread = this.graph.inputs.filter((input) => input.uses.size === 0);
    for (const input of unread) this.graph.removeValue(input);
    return new Model(this.graph);
  }
}

export const FEEDS: Record<string, HostTensor> = {
  x: noise([5, 32], 99),
  ids: Tensor.int64([5], [3, 0, 39, 7, 7]),
};

/** Output y of a model, one thread. */
export async function run(
  model: Model,
  optimization: 'disabled' | 'all' = 'disabled',
  given: Readonly<Record<string, HostTensor>> = FEEDS,
): Promise<number[]> {
  verify(model);
  const executable = await ortRuntime.compile(model, { threads: 1, optimization });
  const feeds = Object.fromEntries(executable.inputs.map((name) => [name, given[name]]));
  const { y } = await executable.run(feeds);
  await executable.release();
  return [...(y.data as Float32Array)];
}

/** Norm of the difference over the norm of what was expected. */
export const relativeError = (actual: number[], expected: number[]): number =>
  Math.sqrt(
    actual.reduce((sum, x, i) => sum + (x - expected[i]) ** 2, 0) / expected.reduce((sum, x) => sum + x * x, 0),
  );
