/** @file Measures the importance of every neuron, head, layer and hidden dimension while a model trains. */
import type { Bundle } from '../bundle';
import type { Component, ComponentEntry, Structure } from '../bundle/manifest';
import { invalid } from '../errors';
import type { Random } from '../train/random';
import type { Importance } from './config';
import { columnNorms, inputProducts, NeuronImportance, notOfNeurons, outputProducts, rowNorms } from './importance';
import type { MeasuredParameter, ReadParameter } from './importance';
import { outputsOf } from './neurons';
import type { LayerKind, NeuronGroup, NeuronKind } from './neurons';
import { StreamMeter } from './stream-meter';

/** What a kind's importance is made from: its own neurons, or those that a head or a layer is made of. */
const MEASURED: Readonly<Record<NeuronKind, readonly LayerKind[]>> = {
  query: ['query'],
  value: ['value'],
  ffn: ['ffn'],
  attentionOutputs: ['attentionOutputs'],
  ffnOutputs: ['ffnOutputs'],
  head: ['value'],
  layer: ['value', 'ffn'],
  hidden: [],
};

/** Neurons of a layer by what was measured of them so far; heads where they are asked for. */
type LayerMeters = ReadonlyMap<LayerKind | 'head', NeuronImportance>;

export class NeuronMeter {
  private readonly structure: Structure;
  private readonly measured: readonly LayerKind[];
  private readonly layers: readonly LayerMeters[];
  private readonly stream: StreamMeter | undefined;
  private readonly entries: ReadonlyMap<string, ComponentEntry>;
  /** Chance is drawn once: what it has removed stays removed. */
  private readonly draws: ReadonlyMap<string, readonly number[]>;

  /**
   * @param bundle whose manifest has a structure
   * @param kinds whose importance is asked for; nothing else is measured
   */
  constructor(
    bundle: Pick<Bundle, 'model' | 'manifest'>,
    private readonly kinds: readonly NeuronKind[],
    private readonly importance: Importance,
    random: Random,
  ) {
    this.structure = bundle.manifest.structure!;
    this.entries = new Map(bundle.manifest.components.map((entry) => [`${entry.component}/${entry.layer}`, entry]));
    this.draws = importance === 'random' ? drawAll(this.structure, random) : new Map();
    this.measured = [...new Set(kinds.flatMap((kind) => MEASURED[kind]))];
    const places = kinds.includes('head') ? [...this.measured, 'head' as const] : this.measured;
    this.layers = this.structure.layers.map(
      (sizes, layer) =>
        new Map(
          places.map((kind) => [
            kind,
            new NeuronImportance(kind === 'head' ? sizes.heads : sizeOf(this.structure, layer, kind)),
          ]),
        ),
    );
    this.stream = kinds.includes('hidden') ? new StreamMeter(bundle, importance, this.draws) : undefined;
  }

  /** Adds what one step's weights and gradients say. */
  measure(read: ReadParameter): void {
    this.layers.forEach((meters, layer) => {
      for (const kind of this.measured) {
        const products = this.products(kind, layer, read);
        meters.get(kind)!.add(products);
        if (kind === 'value') meters.get('head')?.add(perHead(products, this.structure.layers[layer].valueDims));
      }
    });
    this.stream?.measure(read);
  }

  /** The groups of its kinds, comparable under one threshold. A layer's importance is the sum over its neurons. */
  groups(): NeuronGroup[] {
    return this.kinds.flatMap((kind): NeuronGroup[] => {
      if (kind === 'hidden') return [{ kind, layer: -1, importance: this.stream!.hidden() }];
      return this.layers.map((meters, layer) => {
        if (kind !== 'layer') return { kind, layer, importance: meters.get(kind)!.scores(this.importance) };
        const total = sum(MEASURED.layer.flatMap((part) => [...meters.get(part)!.raw()]));
        return { kind, layer, importance: Float32Array.of(total) };
      });
    });
  }

  /** Importance of the pooler's outputs; undefined without a pooler, or where hidden dimensions stay. */
  pooler(): Float32Array | undefined {
    return this.stream?.pooler();
  }

  /** What was summed up so far by name, as memory that a checkpoint stores and restores. */
  sums(): ReadonlyMap<string, Uint8Array> {
    const ofLayers = this.layers.flatMap((layer, l) =>
      [...layer].map(([kind, meter]) => [`${l}/${kind}`, meter.bytes] as const),
    );
    return new Map([...ofLayers, ...(this.stream?.sums() ?? [])]);
  }

  /** Forgets what was measured. */
  reset(): void {
    for (const sums of this.sums().values()) sums.fill(0);
  }

  /** By neuron of a layer, its importance in this step, signed. */
  private products(kind: LayerKind, layer: number, read: ReadParameter): ArrayLike<number> {
    const neurons = sizeOf(this.structure, layer, kind);
    if (neurons === 0) return [];
    const matrix = (component: Component): MeasuredParameter => read(this.entry(component, layer).weight);
    switch (this.importance) {
      case 'random':
        return this.draws.get(`${layer}/${kind}`)!;
      case 'magnitude':
        return magnitudes(kind, neurons, (component) => matrix(component).weight);
      case 'activation-gradient':
      case 'taylor':
        return firstOrder(kind, neurons, matrix, this.biasOf('W_Q', layer, read));
      case 'movement':
      case 'l0':
      case 'pst':
        throw notOfNeurons(this.importance);
    }
  }

  private biasOf(component: Component, layer: number, read: ReadParameter): MeasuredParameter | undefined {
    const bias = this.entries.get(`${component}/${layer}`)?.bias;
    return bias === undefined ? undefined : read(bias);
  }

  private entry(component: Component, layer: number): ComponentEntry {
    const entry = this.entries.get(`${component}/${layer}`);
    if (entry) return entry;
    throw invalid('prune.no-component', `Layer ${layer} has no ${component} left.`, { field: 'targets' });
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Neurons of a kind in a layer. */
function sizeOf(structure: Structure, layer: number, kind: LayerKind): number {
  const { queryDims, valueDims, ffn } = structure.layers[layer];
  switch (kind) {
    case 'query':
      return sum(queryDims);
    case 'value':
      return sum(valueDims);
    case 'ffn':
      return ffn;
    case 'attentionOutputs':
    case 'ffnOutputs':
      return outputsOf(structure, layer, kind).length;
  }
}

/** Norm of what makes a neuron times norm of what reads it; every layer reads what is written to the residual stream. */
function magnitudes(kind: LayerKind, neurons: number, weight: (component: Component) => Float32Array): Float64Array {
  const joint = (from: Component, reader: Float64Array): Float64Array =>
    columnNorms(weight(from), neurons).map((norm, n) => norm * reader[n]);
  switch (kind) {
    case 'query':
      return joint('W_Q', columnNorms(weight('W_K'), neurons));
    case 'value':
      return joint('W_V', rowNorms(weight('W_AO'), neurons));
    case 'ffn':
      return joint('W_I', rowNorms(weight('W_O'), neurons));
    case 'attentionOutputs':
      return columnNorms(weight('W_AO'), neurons);
    case 'ffnOutputs':
      return columnNorms(weight('W_O'), neurons);
  }
}

/** Activation x gradient; see `importance.ts`. Outputs of W_AO and W_O leave their biases behind, so these do not count. */
function firstOrder(
  kind: LayerKind,
  neurons: number,
  matrix: (component: Component) => MeasuredParameter,
  queryBias: MeasuredParameter | undefined,
): Float64Array {
  const rows = ({ weight, gradient }: MeasuredParameter): Float64Array => inputProducts(weight, gradient, neurons);
  const columns = ({ weight, gradient }: MeasuredParameter, bias?: MeasuredParameter): Float64Array => {
    const none = new Float32Array(neurons);
    return outputProducts(weight, gradient, bias?.weight ?? none, bias?.gradient ?? none);
  };
  switch (kind) {
    case 'query':
      return columns(matrix('W_Q'), queryBias);
    case 'value':
      return rows(matrix('W_AO'));
    case 'ffn':
      return rows(matrix('W_O'));
    case 'attentionOutputs':
      return columns(matrix('W_AO'));
    case 'ffnOutputs':
      return columns(matrix('W_O'));
  }
}

/** One random number for every neuron. */
function drawAll(structure: Structure, random: Random): ReadonlyMap<string, readonly number[]> {
  const draw = (count: number): number[] => Array.from({ length: count }, () => random.uniform());
  const { hidden, layers } = structure;
  const ofLayers = (kinds: readonly LayerKind[]): [string, number[]][] =>
    layers.flatMap((_, layer) =>
      kinds.map((kind): [string, number[]] => [`${layer}/${kind}`, draw(sizeOf(structure, layer, kind))]),
    );
  return new Map([
    ...ofLayers(['query', 'value', 'ffn']),
    ['hidden', draw(hidden)],
    ['pooler', draw(hidden)],
    ...ofLayers(['attentionOutputs', 'ffnOutputs']),
  ]);
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
