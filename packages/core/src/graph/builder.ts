import { MICROSOFT_DOMAIN, ONNX_DOMAIN, Node, Value } from './graph';
import type { Graph, Model } from './graph';
import type { Attribute } from './attribute';
import { float, int, ints, string } from './attribute';
import type { DType } from './dtype';
import type { Shape } from './shape';
import { Tensor } from './tensor';
import { inferNode } from '../ops/infer';
import { MICROSOFT_OPS } from '../ops';
import type { OpName } from '../ops';

/** Attribute values as they are convenient to write; an array of integers becomes `ints`. Floats need `float(x)`. */
export type AttributeInput = number | string | readonly number[] | Attribute;

const toAttribute = (value: AttributeInput): Attribute => {
  if (typeof value === 'number') return Number.isInteger(value) ? int(value) : float(value);
  if (typeof value === 'string') return string(value);
  return Array.isArray(value) ? ints(value as readonly number[]) : (value as Attribute);
};

/**
 * Appends nodes to a graph and infers the type of every value it makes, so that building fails at the first wrong
 * shape and names the node. Names of nodes and values start with the current `scope`.
 */
export class GraphBuilder {
  private readonly shared = new Map<string, Value>();
  private prefix = '';

  constructor(readonly model: Model) {}

  get graph(): Graph {
    return this.model.graph;
  }

  /** Runs `body` with `name.` in front of every name made inside. */
  scope<T>(name: string, body: () => T): T {
    const outer = this.prefix;
    this.prefix = `${outer}${name}.`;
    try {
      return body();
    } finally {
      this.prefix = outer;
    }
  }

  input(name: string, dtype: DType, shape: Shape): Value {
    return this.graph.addInput(name, dtype, shape);
  }

  /** A named initializer (a parameter). */
  parameter(name: string, tensor: Tensor): Value {
    return this.graph.addInitializer(name, tensor);
  }

  /** An unnamed constant. */
  constant(tensor: Tensor, hint = 'const'): Value {
    return this.graph.addInitializer(this.graph.uniqueName(this.prefix + hint), tensor);
  }

  /** A constant that is made once per `key`, which says what it is. */
  private sharedConstant(key: string, make: () => Tensor): Value {
    let found = this.shared.get(key);
    if (!found) {
      found = this.graph.addInitializer(this.graph.uniqueName(key), make());
      this.shared.set(key, found);
    }
    return found;
  }

  /** A rank-0 constant; equal scalars are shared. */
  scalar(value: number, dtype: 'float32' | 'int64' | 'int32' = 'float32'): Value {
    return this.sharedConstant(`${dtype}.${value}`, () => Tensor.scalar(value, dtype));
  }

  /** A 1-d int64 constant, as Reshape, Slice and the reductions take; equal ones are shared. */
  int64s(values: readonly number[]): Value {
    return this.sharedConstant(`int64s.${values.join('_')}`, () => Tensor.int64([values.length], values));
  }

  /** A vector of ones, shared: the left factor of a sum over rows. */
  ones(length: number): Value {
    return this.sharedConstant(`ones.${length}`, () => Tensor.float32([length], new Float32Array(length).fill(1)));
  }

  /** Adds a node with one output and returns it. */
  op(
    opType: OpName,
    inputs: readonly (Value | null)[],
    attributes: Readonly<Record<string, AttributeInput>> = {},
    hint: string = opType,
  ): Value {
    return this.ops(opType, inputs, attributes, 1, hint)[0];
  }

  /** Adds a node with `outputCount` outputs. */
  ops(
    opType: OpName,
    inputs: readonly (Value | null)[],
    attributes: Readonly<Record<string, AttributeInput>> = {},
    outputCount = 1,
    hint: string = opType,
  ): readonly Value[] {
    const name = this.graph.uniqueName(this.prefix + hint);
    const outputs = Array.from(
      { length: outputCount },
      (_, i) => new Value(i === 0 ? name : this.graph.uniqueName(`${name}.${i}`)),
    );
    const entries = Object.entries(attributes).map(([key, value]) => [key, toAttribute(value)] as const);
    const domain = Object.hasOwn(MICROSOFT_OPS, opType) ? MICROSOFT_DOMAIN : ONNX_DOMAIN;
    const node = this.graph.addNode(new Node(opType, domain, name, inputs, outputs, new Map(entries)));
    inferNode(node, this.model.opset);
    if (domain === MICROSOFT_DOMAIN) this.model.opsets.set(MICROSOFT_DOMAIN, 1);
    return outputs;
  }

  /** Makes sure that a node has its first `count` outputs, adding optional ones it left out; returns them. */
  extendOutputs(node: Node, count: number): readonly Value[] {
    for (let index = 0; index < count; index++) {
      if (node.outputs[index]?.name) continue;
      node.outputs[index] = this.graph.addValue(new Value(this.graph.uniqueName(`${node.name}.${index}`)));
      node.outputs[index].producer = node;
    }
    inferNode(node, this.model.opset);
    return node.outputs.slice(0, count);
  }

  /** Declares a graph output under the given name. */
  output(value: Value, name = value.name): Value {
    const { producer } = value;
    // A node made here shares its output's name, which is about to become free.
    if (producer?.name === value.name) producer.name = name;
    this.graph.renameValue(value, name);
    this.graph.addOutput(value);
    return value;
  }
}
