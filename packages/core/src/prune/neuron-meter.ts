/** @file Measures the importance of every neuron, head, layer and hidden dimension while a model trains. */
import type { Bundle } from '../bundle';
import type { Component, ComponentEntry, Structure } from '../bundle/manifest';
import { invalid } from '../errors';
import type { Random } from '../train/random';
import type { Importance } from './config';
import { columnNorms, inputProducts, NeuronImportance, notOfNeurons, outputProducts, rowNorms } from './importance';
import type { MeasuredParameter, ReadParameter } from './importance';
import type { NeuronGroup, NeuronKind } from './neurons';
import { StreamMeter } from './stream-meter';

/** Neurons of a layer by kind, with what was measured of them so far. */
interface LayerMeters {
  readonly query: NeuronImportance;
  readonly value: NeuronImportance;
  readonly ffn: NeuronImportance;
  readonly head: NeuronImportance;
}

type LayerProducts = Record<'query' | 'value' | 'ffn', ArrayLike<number>>;

const metersOf = ({ queryDims, valueDims, ffn, heads }: Structure['layers'][number]): LayerMeters => ({
  query: new NeuronImportance(sum(queryDims)),
  value: new NeuronImportance(sum(valueDims)),
  ffn: new NeuronImportance(ffn),
  head: new NeuronImportance(heads),
});

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

export class NeuronMeter {
  private readonly layers: readonly LayerMeters[];
  private readonly stream: StreamMeter;
  private readonly structure: Structure;
  private readonly entries: ReadonlyMap<string, ComponentEntry>;
  /** Chance is drawn once: what it has removed stays removed. */
  private readonly draws: ReadonlyMap<string, readonly number[]>;

  /** @param bundle whose manifest has a structure */
  constructor(
    bundle: Pick<Bundle, 'model' | 'manifest'>,
    private readonly importance: Importance,
    random: Random,
  ) {
    this.structure = bundle.manifest.structure!;
    this.entries = new Map(bundle.manifest.components.map((entry) => [`${entry.component}/${entry.layer}`, entry]));
    this.draws = importance === 'random' ? drawAll(this.structure, random) : new Map();
    this.layers = this.structure.layers.map(metersOf);
    this.stream = new StreamMeter(bundle, importance, this.draws);
  }

  /** Adds what one step's weights and gradients say. */
  measure(read: ReadParameter): void {
    this.layers.forEach((meters, layer) => {
      const { query, value, ffn } = this.products(layer, read);
      meters.query.add(query);
      meters.value.add(value);
      meters.ffn.add(ffn);
      meters.head.add(perHead(value, this.structure.layers[layer].valueDims));
    });
    this.stream.measure(read);
  }

  /** The groups of these kinds, comparable under one threshold. A layer's importance is the sum over its neurons. */
  groups(kinds: readonly NeuronKind[]): NeuronGroup[] {
    return kinds.flatMap((kind): NeuronGroup[] => {
      if (kind === 'hidden') return [{ kind, layer: -1, importance: this.stream.hidden() }];
      return this.layers.map((meters, layer) => {
        if (kind !== 'layer') return { kind, layer, importance: meters[kind].scores(this.importance) };
        const total = sum([...meters.value.raw(), ...meters.ffn.raw()]);
        return { kind, layer, importance: Float32Array.of(total) };
      });
    });
  }

  /** Importance of the pooler's outputs; undefined without a pooler. */
  pooler(): Float32Array | undefined {
    return this.stream.pooler();
  }

  /** What was summed up so far by name, as memory that a checkpoint stores and restores. */
  sums(): ReadonlyMap<string, Uint8Array> {
    const ofLayers = this.layers.flatMap((layer, l) =>
      Object.entries(layer).map(([kind, meter]: [string, NeuronImportance]) => [`${l}/${kind}`, meter.bytes] as const),
    );
    return new Map([...ofLayers, ...this.stream.sums()]);
  }

  /** Forgets what was measured. */
  reset(): void {
    for (const sums of this.sums().values()) sums.fill(0);
  }

  private draw(place: string): readonly number[] {
    return this.draws.get(place)!;
  }

  private products(layer: number, read: ReadParameter): LayerProducts {
    const { queryDims, valueDims, ffn } = this.structure.layers[layer];
    const [queries, values] = [sum(queryDims), sum(valueDims)];
    const component = (name: Component): ComponentEntry => this.entry(name, layer);
    switch (this.importance) {
      case 'random':
        return {
          query: this.draw(`${layer}/query`),
          value: this.draw(`${layer}/value`),
          ffn: this.draw(`${layer}/ffn`),
        };
      case 'magnitude':
        return {
          query: this.joint(layer, 'W_Q', 'W_K', queries, read, columnNorms),
          value: this.joint(layer, 'W_V', 'W_AO', values, read, rowNorms),
          ffn: this.joint(layer, 'W_I', 'W_O', ffn, read, rowNorms),
        };
      case 'activation-gradient':
      case 'taylor': {
        const inputs = (name: Component, rows: number): Float64Array => {
          if (rows === 0) return new Float64Array();
          const { weight, gradient } = read(component(name).weight);
          return inputProducts(weight, gradient, rows);
        };
        const outputs = (name: Component, columns: number): Float64Array => {
          if (columns === 0) return new Float64Array();
          const { weight, bias } = component(name);
          const [w, b] = [read(weight), bias === undefined ? noBias(columns) : read(bias)];
          return outputProducts(w.weight, w.gradient, b.weight, b.gradient);
        };
        return {
          query: outputs('W_Q', queries),
          value: inputs('W_AO', values),
          ffn: inputs('W_O', ffn),
        };
      }
      case 'movement':
      case 'l0':
      case 'pst':
        throw notOfNeurons(this.importance);
    }
  }

  /** Norm of what makes a neuron times norm of what reads it. */
  private joint(
    layer: number,
    from: Component,
    to: Component,
    neurons: number,
    read: ReadParameter,
    normsOfReader: (weight: Float32Array, neurons: number) => Float64Array,
  ): Float64Array {
    if (neurons === 0) return new Float64Array();
    const reader = normsOfReader(read(this.entry(to, layer).weight).weight, neurons);
    return columnNorms(read(this.entry(from, layer).weight).weight, neurons).map((norm, n) => norm * reader[n]);
  }

  private entry(component: Component, layer: number): ComponentEntry {
    const entry = this.entries.get(`${component}/${layer}`);
    if (entry) return entry;
    throw invalid('prune.no-component', `Layer ${layer} has no ${component} left.`, { field: 'targets' });
  }
}

/** One random number for every neuron. */
function drawAll({ layers, hidden }: Structure, random: Random): ReadonlyMap<string, readonly number[]> {
  const draw = (count: number): number[] => Array.from({ length: count }, () => random.uniform());
  const ofLayers = layers.flatMap(({ queryDims, valueDims, ffn }, layer) => [
    [`${layer}/query`, draw(sum(queryDims))] as const,
    [`${layer}/value`, draw(sum(valueDims))] as const,
    [`${layer}/ffn`, draw(ffn)] as const,
  ]);
  return new Map([...ofLayers, ['hidden', draw(hidden)], ['pooler', draw(hidden)]]);
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
