/** @file What the specs share: the library, and models of single nodes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../../core/src/graph';
import type { Attribute, DType, Shape } from '../../core/src/graph';
import { writeModel } from '../../core/src/onnx';
import { NativeLibrary } from '../src';
import type { NativeArray, NativeTensor } from '../src';

/** The sanitizer run names its own build. */
export const ADDON = process.env.MODELPRESS_NATIVE_ADDON ?? join(__dirname, '..', 'build', 'modelpress.node');

/** `describe` where the addon is compiled; otherwise the tests are shown as skipped, with the reason in the name. */
export const describeNative = (name: string, body: () => void): void =>
  existsSync(ADDON)
    ? describe(name, body)
    : describe.skip(`${name} (needs the compiled addon)`, () => it('runs natively', () => undefined));

export const nativeLibrary = (): NativeLibrary => new NativeLibrary({ addon: ADDON });

interface Declared {
  readonly dtype?: DType;
  readonly shape: Shape;
  /** Makes it an initializer. */
  readonly constant?: Tensor;
}

export interface NodeModel {
  readonly op: string;
  /** Default: the standard domain. */
  readonly domain?: string;
  readonly inputs: Readonly<Record<string, Declared>>;
  readonly outputs: Readonly<Record<string, Declared>>;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** The bytes of a model with one node, whose inputs and outputs are the graph's. */
export function nodeModel({ op, domain = ONNX_DOMAIN, inputs, outputs, attributes = {} }: NodeModel): Uint8Array {
  const model = new Model(
    new Graph(),
    new Map([
      [ONNX_DOMAIN, 21],
      ['modelpress', 1],
    ]),
  );
  const { graph } = model;
  const read = Object.entries(inputs).map(([name, { dtype = 'float32', shape, constant }]) =>
    constant ? graph.addInitializer(name, constant) : graph.addInput(name, dtype, shape),
  );
  const made = Object.entries(outputs).map(([name, { dtype = 'float32', shape }]) => new Value(name, { dtype, shape }));
  graph.addNode(new Node(op, domain, 'node', read, made, new Map(Object.entries(attributes))));
  for (const value of made) graph.addOutput(value);
  return writeModel(model);
}

/** y = a^(2^count), a square matrix of n x n, as a chain of products. */
export function chainModel(n: number, count: number): Uint8Array {
  const model = new Model(new Graph());
  const { graph } = model;
  let last = graph.addInput('a', 'float32', [n, n]);
  for (let i = 0; i < count; i++) {
    const next = new Value(i === count - 1 ? 'y' : `y${i}`, { dtype: 'float32', shape: [n, n] });
    graph.addNode(new Node('MatMul', ONNX_DOMAIN, `node${i}`, [last, last], [next]));
    last = next;
  }
  graph.addOutput(last);
  return writeModel(model);
}

/** A float32 tensor. */
export const tensor = (dims: readonly number[], data: ArrayLike<number>): NativeTensor => {
  return { type: 1, dims, data: Float32Array.from(data) };
};

/** Repeatable values in [-1, 1]. */
export function values(count: number, seed = 1): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

export const numbersOf = (data: NativeArray): number[] => Array.from(data as Float32Array, Number);
