/** @file Measures the importance of every neuron, head and layer while a model trains. */
import type { Component, ComponentEntry, Structure } from '../bundle/manifest';
import { invalid } from '../errors';
import type { Random } from '../train/random';
import type { Importance } from './config';
import { inputProducts, NeuronImportance, outputProducts } from './importance';
import type { NeuronGroup, NeuronKind } from './neurons';

/** The arrays of a parameter that are read. */
export interface MeasuredParameter {
  readonly weight: Float32Array;
  readonly gradient: Float32Array;
}
type Read = (name: string) => MeasuredParameter;

/** Neurons of a layer by kind, with what was measured of them so far. */
interface LayerMeters {
  readonly query: NeuronImportance;
  readonly value: NeuronImportance;
  readonly ffn: NeuronImportance;
  readonly head: NeuronImportance;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

export class NeuronMeter {
  private layers: LayerMeters[];
  private readonly entries: ReadonlyMap<string, ComponentEntry>;

  constructor(
    components: readonly ComponentEntry[],
    private readonly structure: Structure,
    private readonly importance: Importance,
    private readonly random: Random,
  ) {
    this.entries = new Map(components.map((entry) => [`${entry.component}/${entry.layer}`, entry]));
    this.layers = this.fresh();
  }

  /** Adds what one step's weights and gradients say. */
  measure(read: Read): void {
    this.layers.forEach((meters, layer) => {
      const { query, value, ffn } = this.products(layer, read);
      meters.query.add(query);
      meters.value.add(value);
      meters.ffn.add(ffn);
      meters.head.add(perHead(value, this.structure.layers[layer].valueDims));
    });
  }

  /** The groups of these kinds, comparable under one threshold. A layer's importance is the sum over its neurons. */
  groups(kinds: readonly NeuronKind[]): NeuronGroup[] {
    const scores = (meter: NeuronImportance): Float32Array =>
      this.importance === 'activation-gradient' ? meter.normalized() : meter.raw();
    return kinds.flatMap((kind) =>
      this.layers.map((meters, layer): NeuronGroup => {
        if (kind !== 'layer') return { kind, layer, importance: scores(meters[kind]) };
        const total = sum([...meters.value.raw(), ...meters.ffn.raw()]);
        return { kind, layer, importance: Float32Array.of(total) };
      }),
    );
  }

  /** Forgets what was measured. */
  reset(): void {
    this.layers = this.fresh();
  }

  private fresh(): LayerMeters[] {
    return this.structure.layers.map(({ queryDims, valueDims, ffn, heads }) => ({
      query: new NeuronImportance(sum(queryDims)),
      value: new NeuronImportance(sum(valueDims)),
      ffn: new NeuronImportance(ffn),
      head: new NeuronImportance(heads),
    }));
  }

  private products(layer: number, read: Read): Record<'query' | 'value' | 'ffn', ArrayLike<number>> {
    const { queryDims, valueDims, ffn } = this.structure.layers[layer];
    const [queries, values] = [sum(queryDims), sum(valueDims)];
    const component = (name: Component): ComponentEntry => this.entry(name, layer);
    switch (this.importance) {
      case 'random': {
        const draw = (n: number): number[] => Array.from({ length: n }, () => this.random.uniform());
        return { query: draw(queries), value: draw(values), ffn: draw(ffn) };
      }
      case 'magnitude':
        return {
          query: product(
            columnNorms(read(component('W_Q').weight).weight, queries),
            columnNorms(read(component('W_K').weight).weight, queries),
          ),
          value: product(
            columnNorms(read(component('W_V').weight).weight, values),
            rowNorms(read(component('W_AO').weight).weight, values),
          ),
          ffn: product(
            columnNorms(read(component('W_I').weight).weight, ffn),
            rowNorms(read(component('W_O').weight).weight, ffn),
          ),
        };
      case 'activation-gradient':
      case 'taylor': {
        const inputs = (name: Component, rows: number): Float64Array => {
          const { weight, gradient } = read(component(name).weight);
          return inputProducts(weight, gradient, rows);
        };
        const { weight, bias } = component('W_Q');
        const [w, b] = [read(weight), bias === undefined ? noBias(queries) : read(bias)];
        return {
          query: outputProducts(w.weight, w.gradient, b.weight, b.gradient),
          value: inputs('W_AO', values),
          ffn: inputs('W_O', ffn),
        };
      }
      case 'movement':
      case 'l0':
      case 'pst':
        throw invalid('prune.importance', `${this.importance} scores single weights, not neurons.`, {
          field: 'importance',
        });
    }
  }

  private entry(component: Component, layer: number): ComponentEntry {
    const entry = this.entries.get(`${component}/${layer}`);
    if (entry) return entry;
    throw invalid('prune.no-component', `Layer ${layer} has no ${component} left.`, { field: 'targets' });
  }
}

/** Signed sums over the dimensions of each head: the head's own activation x gradient. */
function perHead(values: ArrayLike<number>, dims: readonly number[]): number[] {
  let start = 0;
  return dims.map((size) => {
    let total = 0;
    for (let i = start; i < start + size; i++) total += values[i];
    start += size;
    return total;
  });
}

const noBias = (size: number): MeasuredParameter => ({
  weight: new Float32Array(size),
  gradient: new Float32Array(size),
});

function columnNorms(weight: Float32Array, columns: number): Float64Array {
  const squares = new Float64Array(columns);
  weight.forEach((value, i) => {
    squares[i % columns] += value * value;
  });
  return squares.map(Math.sqrt);
}

function rowNorms(weight: Float32Array, rows: number): Float64Array {
  const columns = weight.length / rows;
  return Float64Array.from({ length: rows }, (_, row) =>
    Math.hypot(...weight.subarray(row * columns, (row + 1) * columns)),
  );
}

const product = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value * b[i]);
