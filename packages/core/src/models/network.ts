/** @file The building blocks that all architectures share, on top of the graph builder. */
import { invalid } from '../errors';
import { Graph, float, Model } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import type { Component, ComponentEntry, Structure } from '../bundle/manifest';
import type { Activation } from './config';
import { inflate } from './inflate';
import type { WeightRole, WeightSource } from './weights';

/** A model made by one of our builders, with what its manifest says about it. */
export interface BuiltModel {
  readonly model: Model;
  /** Inputs to feed, in order. */
  readonly inputs: readonly string[];
  readonly output: string;
  readonly components: readonly ComponentEntry[];
  readonly structure?: Structure;
}

/** Symbolic dimensions of every model input. */
export const BATCH = 'batch';
export const SEQUENCE = 'sequence';

/** A graph under construction, its parameters and their roles. */
export class Network {
  readonly build: GraphBuilder;
  readonly components: ComponentEntry[] = [];

  constructor(
    name: string,
    private readonly weights: WeightSource,
  ) {
    this.build = new GraphBuilder(new Model(new Graph(name)));
  }

  /** An int64 [batch, sequence] input. */
  tokenInput(name: string): Value {
    return this.build.input(name, 'int64', [BATCH, SEQUENCE]);
  }

  parameter(name: string, dims: readonly number[], role: WeightRole): Value {
    const tensor = this.weights(name, dims, role);
    if (tensor.dims.join() !== dims.join()) {
      throw invalid(
        'model.weight-shape',
        `Parameter "${name}" must be [${dims.join(',')}], but the weights have [${tensor.dims.join(',')}].`,
        { tensor: name },
      );
    }
    return this.build.parameter(name, tensor);
  }

  /** The table of an embedding, registered as a component. */
  embeddingTable(name: string, rows: number, width: number): Value {
    const weight = this.parameter(`${name}.weight`, [rows, width], 'embedding');
    this.components.push({ component: 'embeddings', weight: weight.name });
    return weight;
  }

  /** x W + b over the last axis, W as [inputs, outputs]; of outputs other than `kept`, if given, only b is left. */
  linear(
    x: Value,
    name: string,
    inputs: number,
    outputs: number,
    options: {
      readonly component?: Component;
      readonly layer?: number;
      readonly bias?: boolean;
      readonly kept?: readonly number[];
    } = {},
  ): Value {
    const { component, layer, bias: hasBias = true, kept } = options;
    const weight = this.parameter(`${name}.weight`, [inputs, kept?.length ?? outputs], 'matrix');
    const bias = hasBias ? this.parameter(`${name}.bias`, [outputs], 'bias') : undefined;
    if (component) {
      this.components.push({
        component,
        ...(layer === undefined ? {} : { layer }),
        weight: weight.name,
        ...(bias ? { bias: bias.name } : {}),
      });
    }
    const narrow = this.build.op('MatMul', [x, weight], {}, 'matmul');
    const product = kept ? inflate(this.build, narrow, kept, outputs) : narrow;
    return bias ? this.build.op('Add', [product, bias], {}, 'bias') : product;
  }

  /** Over the last axis, with weight and bias. */
  layerNorm(x: Value, name: string, size: number, epsilon: number): Value {
    const scale = this.parameter(`${name}.weight`, [size], 'scale');
    const bias = this.parameter(`${name}.bias`, [size], 'bias');
    return this.build.op('LayerNormalization', [x, scale, bias], { axis: -1, epsilon: float(epsilon) }, 'norm');
  }

  activation(x: Value, kind: Activation): Value {
    return ACTIVATIONS[kind](this.build, x);
  }

  /** x + y, for residual connections. */
  add(x: Value, y: Value, hint = 'residual'): Value {
    return this.build.op('Add', [x, y], {}, hint);
  }

  /** The sequence length as a 1-d int64 tensor of one element. */
  sequenceLength(ids: Value): Value {
    return this.build.op('Shape', [ids], { start: 1, end: 2 }, 'length');
  }

  /** int64 0, 1, ... over the sequence, shape [sequence]. */
  positions(ids: Value): Value {
    const { build } = this;
    const length = build.op('Squeeze', [this.sequenceLength(ids)], {}, 'count');
    return build.op('Range', [build.scalar(0, 'int64'), length, build.scalar(1, 'int64')], {}, 'positions');
  }

  /** Ends the graph at `value`. */
  finish(value: Value, output: string, structure?: Structure): BuiltModel {
    this.build.output(value, output);
    const { model, graph } = this.build;
    const inputs = graph.inputs.map((input) => input.name);
    return { model, inputs, output, components: this.components, ...(structure ? { structure } : {}) };
  }
}

const ACTIVATIONS: Readonly<Record<Activation, (build: GraphBuilder, x: Value) => Value>> = {
  gelu: (build, x) => build.op('Gelu', [x], {}, 'gelu'),
  'gelu-tanh': (build, x) => build.op('Gelu', [x], { approximate: 'tanh' }, 'gelu'),
  relu: (build, x) => build.op('Relu', [x], {}, 'relu'),
  silu: (build, x) => build.op('Mul', [x, build.op('Sigmoid', [x], {}, 'sigmoid')], {}, 'silu'),
  tanh: (build, x) => build.op('Tanh', [x], {}, 'tanh'),
};
