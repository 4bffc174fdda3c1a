/** @file The two dense layers of a DAN in training: logits = W2 (mask * relu(W1 x + b1)) + b2. */
import { Random, streamKey } from '../train/random';
import { wasmKernels } from '../train/kernels/kernels';
import type { AdamwScalars, Kernels } from '../train/kernels/kernels';
import { danKernels } from './kernels';
import type { DanTrainingKernels } from './kernels';

/** Texts that go through the layers at once: their activations stay in the cache. */
export const CHUNK = 256;
const PAGE = 65_536;
const STATICS = 1024;

/** Widths, each a multiple of 8. */
export interface DenseSizes {
  readonly dimension: number;
  readonly hidden: number;
  readonly classes: number;
}

const PARAMETERS = ['w1', 'b1', 'w2', 'b2'] as const;
type ParameterName = (typeof PARAMETERS)[number];

/** One parameter: addresses of what belongs to it, in bytes. */
interface Parameter {
  readonly size: number;
  readonly weight: number;
  readonly gradient: number;
  readonly firstMoment: number;
  readonly secondMoment: number;
}

export class DenseLayers {
  private readonly memory: WebAssembly.Memory;
  private readonly kernels: DanTrainingKernels;
  private readonly common: Kernels;
  private readonly parameters: Readonly<Record<ParameterName, Parameter>>;
  private readonly at: Readonly<Record<BufferName, number>>;
  private maskFactor = 1;

  constructor(private readonly sizes: DenseSizes) {
    const { dimension, hidden, classes } = sizes;
    let end = STATICS;
    const take = (count: number): number => {
      const start = Math.ceil(end / 64) * 64;
      end = start + 4 * count;
      return start;
    };
    const parameter = (size: number): Parameter => ({
      size,
      weight: take(size),
      gradient: take(size),
      firstMoment: take(size),
      secondMoment: take(size),
    });
    this.parameters = {
      w1: parameter(dimension * hidden),
      b1: parameter(hidden),
      w2: parameter(hidden * classes),
      b2: parameter(classes),
    };
    this.at = {
      x: take(CHUNK * dimension),
      xTurned: take(CHUNK * dimension),
      active: take(CHUNK * hidden),
      activeTurned: take(CHUNK * hidden),
      mask: take(CHUNK * hidden),
      logits: take(CHUNK * classes),
      w1Turned: take(dimension * hidden),
      w2Turned: take(hidden * classes),
      logitGradients: take(CHUNK * classes),
      activeGradients: take(CHUNK * hidden),
      xGradients: take(CHUNK * dimension),
      biasGradients: take(Math.max(hidden, classes)),
      zeros: take(Math.max(dimension, hidden)),
    };
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(end / PAGE) });
    this.kernels = danKernels(this.memory);
    this.common = wasmKernels(this.memory);
    this.setMask(0, [0, 0]);
  }

  /** Fresh weights, uniform in +-1/sqrt(inputs) as PyTorch's Linear; columns beyond the real sizes stay zero. */
  initialise(real: DenseSizes, seed: number): void {
    const { hidden, classes } = this.sizes;
    const random = new Random(seed);
    const fill = (name: ParameterName, rows: number, columns: number, stride: number, inputs: number): void => {
      const weight = this.weight(name);
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < columns; i++) weight[row * stride + i] = (2 * random.uniform() - 1) / Math.sqrt(inputs);
      }
    };
    fill('w1', real.dimension, real.hidden, hidden, real.dimension);
    fill('b1', 1, real.hidden, hidden, real.dimension);
    fill('w2', real.hidden, real.classes, classes, real.hidden);
    fill('b2', 1, real.classes, classes, real.hidden);
  }

  /** A parameter's array: w1 [dimension, hidden], b1, w2 [hidden, classes], b2. A view that is always valid. */
  weight(name: ParameterName): Float32Array {
    const { weight, size } = this.parameters[name];
    return this.floats(weight, size);
  }

  /** Weights and moments of every parameter, for saving. */
  get state(): Float32Array[] {
    return PARAMETERS.flatMap((name) => {
      const { weight, firstMoment, secondMoment, size } = this.parameters[name];
      return [weight, firstMoment, secondMoment].map((address) => this.floats(address, size));
    });
  }

  get weights(): Float32Array[] {
    return PARAMETERS.map((name) => this.weight(name));
  }

  /** Prepares a training step: gradients of zero, transposed weights. */
  startStep(): void {
    const { dimension, hidden, classes } = this.sizes;
    const { w1, w2 } = this.parameters;
    for (const name of PARAMETERS) this.gradient(name).fill(0);
    this.kernels.transpose(w1.weight, dimension, hidden, this.at.w1Turned);
    this.kernels.transpose(w2.weight, hidden, classes, this.at.w2Turned);
  }

  /** Draws the dropout mask of the next `forward`; 0 means no dropout. */
  setMask(dropout: number, key: readonly [number, number]): void {
    const { hidden } = this.sizes;
    this.maskFactor = 1 / (1 - dropout);
    this.common.dropoutMask(this.at.mask, CHUNK * hidden, key, Math.round(dropout * 65_536), this.maskFactor);
  }

  /**
   * Logits of at most CHUNK texts.
   * @param x pooled vectors, [rows, dimension]
   * @returns [rows, classes]; a view until the next call
   */
  forward(x: Float32Array, rows: number): Float32Array {
    const { dimension, hidden, classes } = this.sizes;
    const { at, kernels, parameters } = this;
    this.floats(at.x, x.length).set(x);
    kernels.product(at.x, parameters.w1.weight, parameters.b1.weight, dimension, hidden, at.active, rows);
    kernels.reluMask(at.active, at.mask, rows * hidden);
    kernels.product(at.active, parameters.w2.weight, parameters.b2.weight, hidden, classes, at.logits, rows);
    return this.floats(at.logits, rows * classes);
  }

  /** Where the caller puts the gradient of the logits before `backward`. */
  logitGradients(rows: number): Float32Array {
    return this.floats(this.at.logitGradients, rows * this.sizes.classes);
  }

  /** Adds this chunk's gradients to those of the step. @returns the gradient of x, [rows, dimension] */
  backward(rows: number): Float32Array {
    const { dimension, hidden, classes } = this.sizes;
    const { at, kernels, parameters } = this;
    kernels.transpose(at.active, rows, hidden, at.activeTurned);
    kernels.product(at.activeTurned, at.logitGradients, 0, rows, classes, parameters.w2.gradient, hidden);
    this.addBias(at.logitGradients, rows, classes, parameters.b2.gradient);
    kernels.product(at.logitGradients, at.w2Turned, at.zeros, classes, hidden, at.activeGradients, rows);
    kernels.reluGradient(at.active, at.activeGradients, rows * hidden, this.maskFactor);
    kernels.transpose(at.x, rows, dimension, at.xTurned);
    kernels.product(at.xTurned, at.activeGradients, 0, rows, hidden, parameters.w1.gradient, dimension);
    this.addBias(at.activeGradients, rows, hidden, parameters.b1.gradient);
    kernels.product(at.activeGradients, at.w1Turned, at.zeros, hidden, dimension, at.xGradients, rows);
    return this.floats(at.xGradients, rows * dimension);
  }

  /** AdamW; biases do not decay. */
  update(scalars: AdamwScalars): void {
    for (const name of PARAMETERS) {
      const isBias = name === 'b1' || name === 'b2';
      const parameter = this.parameters[name];
      this.common.adamw(parameter, parameter.size, isBias ? { ...scalars, keep: 1 } : scalars);
    }
  }

  /** Gradient of the present step. */
  gradient(name: ParameterName): Float32Array {
    const { gradient, size } = this.parameters[name];
    return this.floats(gradient, size);
  }

  private addBias(gradients: number, rows: number, width: number, target: number): void {
    this.kernels.sumRows(gradients, rows, width, this.at.biasGradients);
    this.common.accumulate(target, this.at.biasGradients, width);
  }

  private floats(address: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, count);
  }
}

type BufferName =
  | 'x'
  | 'xTurned'
  | 'active'
  | 'activeTurned'
  | 'mask'
  | 'logits'
  | 'w1Turned'
  | 'w2Turned'
  | 'logitGradients'
  | 'activeGradients'
  | 'xGradients'
  | 'biasGradients'
  | 'zeros';

/** The key of a step's dropout mask. */
export const maskKey = (seed: number, step: number, chunk: number): readonly [number, number] =>
  streamKey(seed, step, chunk, 7);
