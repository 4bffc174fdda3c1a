/** @file Measures the importance of hidden dimensions, and of the pooler's outputs. */
import type { Bundle } from '../bundle';
import type { ComponentEntry, Structure } from '../bundle/manifest';
import { hiddenNormParameters } from '../models';
import type { Importance } from './config';
import { columnNorms, inputProducts, NeuronImportance, notOfNeurons, rowNorms } from './importance';
import type { ReadParameter } from './importance';
import { poolerOf } from './neuron-masks';
import { outputsOf } from './neurons';

export class StreamMeter {
  private readonly structure: Structure;
  private readonly width: number;
  private readonly components: readonly ComponentEntry[];
  private readonly norms: readonly {
    readonly scale: string;
    readonly bias: string;
    readonly meter: NeuronImportance;
  }[];
  private readonly pooled: NeuronImportance;

  /** @param draws random numbers by place, for the importance `random` */
  constructor(
    { model, manifest }: Pick<Bundle, 'model' | 'manifest'>,
    private readonly importance: Importance,
    private readonly draws: ReadonlyMap<string, readonly number[]>,
  ) {
    this.structure = manifest.structure!;
    this.width = this.structure.hidden;
    this.components = manifest.components;
    const meter = (): NeuronImportance => new NeuronImportance(this.width);
    this.norms = hiddenNormParameters(model, this.width).map((names) => ({ ...names, meter: meter() }));
    this.pooled = meter();
  }

  /** Adds what one step's weights and gradients say. */
  measure(read: ReadParameter): void {
    this.norms.forEach(({ meter }, i) => meter.add(this.hiddenProducts(i, read)));
    this.pooled.add(this.poolerProducts(read));
  }

  /** Importance of the hidden dimensions, summed over the normalisations. */
  hidden(): Float32Array {
    const total = new Float32Array(this.width);
    for (const { meter } of this.norms) {
      meter.scores(this.importance).forEach((score, i) => {
        total[i] += score;
      });
    }
    return total;
  }

  /** Importance of the pooler's outputs; undefined without a pooler. */
  pooler(): Float32Array | undefined {
    return poolerOf(this.components) && this.pooled.scores(this.importance);
  }

  sums(): [name: string, memory: Uint8Array][] {
    const ofNorms = this.norms.map(({ meter }, i): [string, Uint8Array] => [`norm/${i}`, meter.bytes]);
    return [...ofNorms, ['pooler', this.pooled.bytes]];
  }

  /**
   * Activation x gradient of what normalisation `i` hands on, y = gamma x' + beta: the sum over rows and positions of
   * y_d g_d is gamma_d dgamma_d + beta_d dbeta_d. Other importances are of no single normalisation: the first has them.
   */
  private hiddenProducts(i: number, read: ReadParameter): ArrayLike<number> {
    switch (this.importance) {
      case 'random':
        return i === 0 ? this.draws.get('hidden')! : new Float64Array(this.width);
      case 'magnitude':
        return i === 0 ? this.writtenMagnitude(read) : new Float64Array(this.width);
      case 'activation-gradient':
      case 'taylor': {
        const [scale, bias] = [read(this.norms[i].scale), read(this.norms[i].bias)];
        const product = (d: number): number => scale.weight[d] * scale.gradient[d] + bias.weight[d] * bias.gradient[d];
        return Float64Array.from({ length: this.width }, (_, d) => product(d));
      }
      case 'movement':
      case 'l0':
      case 'pst':
        throw notOfNeurons(this.importance);
    }
  }

  /** |scale| times the L2 norm of what the layers write, by hidden dimension; 0 for one that is removed. */
  private writtenMagnitude(read: ReadParameter): Float64Array {
    const squares = new Float64Array(this.width);
    for (const { component, layer, weight } of this.components) {
      if (layer === undefined || (component !== 'W_AO' && component !== 'W_O')) continue;
      const dims = outputsOf(this.structure, layer, component === 'W_AO' ? 'attentionOutputs' : 'ffnOutputs');
      columnNorms(read(weight).weight, dims.length).forEach((norm, i) => {
        squares[dims[i]] += norm * norm;
      });
    }
    const scale = read(this.norms[0].scale).weight;
    return squares.map((square, d) => Math.abs(scale[d]) * Math.sqrt(square));
  }

  /** Of the pooler's outputs, which the rows of the classifier read. */
  private poolerProducts(read: ReadParameter): ArrayLike<number> {
    const classifier = this.components.find(({ component }) => component === 'classifier');
    if (!poolerOf(this.components) || !classifier) return new Float64Array(this.width);
    if (this.importance === 'random') return this.draws.get('pooler')!;
    const { weight, gradient } = read(classifier.weight);
    return this.importance === 'magnitude' ? rowNorms(weight, this.width) : inputProducts(weight, gradient, this.width);
  }
}
