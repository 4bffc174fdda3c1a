/**
 * @file Neuron importance from weights and their gradients alone.
 *
 * The importance of a neuron is |sum over rows and positions of a * g|, its activation times the loss gradient there
 * (Rasa 2019; Molchanov et al. 2017, first-order Taylor). For the outputs of a linear layer a = x W + b, with
 * dW = x' g and db = 1' g:
 *
 *   sum a_n g_n = sum (x W_n + b_n) g_n = W_n . dW_n + b_n db_n          (column n of W: outputs)
 *   sum a_n g_n = sum a_n (g_out W_n')  = W_n . dW_n                     (row n of W: inputs)
 *
 * so the gradients that training computes anyway are enough: no extra graph output, no activation ever leaves the
 * engine. FFN neurons after the activation function are the rows of W_O, value neurons the rows of W_AO.
 */

import { invalid } from '../errors';
import type { ModelpressError } from '../errors';
import type { Importance } from './config';

/** The arrays of a parameter that are read. */
export interface MeasuredParameter {
  readonly weight: Float32Array;
  readonly gradient: Float32Array;
}
export type ReadParameter = (name: string) => MeasuredParameter;

/** Per input neuron (row) of a weight [rows, columns]: sum over batch of activation x gradient. */
export function inputProducts(weight: Float32Array, gradient: Float32Array, rows: number): Float64Array {
  const columns = weight.length / rows;
  const products = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) sum += weight[i] * gradient[i];
    products[row] = sum;
  }
  return products;
}

/** Per output neuron (column) of a linear layer: sum over batch of activation x gradient, before any non-linearity. */
export function outputProducts(
  weight: Float32Array,
  gradient: Float32Array,
  bias: Float32Array,
  biasGradient: Float32Array,
): Float64Array {
  const columns = bias.length;
  const products = Float64Array.from(bias, (b, n) => b * biasGradient[n]);
  for (let start = 0; start < weight.length; start += columns) {
    for (let n = 0; n < columns; n++) products[n] += weight[start + n] * gradient[start + n];
  }
  return products;
}

/** L2 norm of each column of a row-major matrix. */
export function columnNorms(weight: Float32Array, columns: number): Float64Array {
  const squares = new Float64Array(columns);
  for (let start = 0; start < weight.length; start += columns) {
    for (let n = 0; n < columns; n++) squares[n] += weight[start + n] * weight[start + n];
  }
  return squares.map(Math.sqrt);
}

/** L2 norm of each row of a row-major matrix. */
export const rowNorms = (weight: Float32Array, rows: number): Float64Array =>
  inputProducts(weight, weight, rows).map(Math.sqrt);

export const notOfNeurons = (importance: Importance): ModelpressError =>
  invalid('prune.importance', `${importance} scores single weights, not neurons.`, { field: 'importance' });

/** Accumulates |products| over mini-batches for one layer's neurons. */
export class NeuronImportance {
  private readonly sums: Float64Array;

  constructor(readonly neurons: number) {
    this.sums = new Float64Array(neurons);
  }

  add(products: ArrayLike<number>): void {
    for (let n = 0; n < this.neurons; n++) this.sums[n] += Math.abs(products[n]);
  }

  /** The memory of the sums. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.sums.buffer);
  }

  /** What neurons are compared by: activation x gradient is normalised layer by layer, as the source does. */
  scores(importance: Importance): Float32Array {
    return importance === 'activation-gradient' ? this.normalized() : this.raw();
  }

  /** The sums as they are. */
  raw(): Float32Array {
    return Float32Array.from(this.sums);
  }

  /** The sums divided by their L2 norm, so that layers can be compared under one global threshold. */
  normalized(): Float32Array {
    const norm = Math.sqrt(this.sums.reduce((sum, value) => sum + value * value, 0));
    return Float32Array.from(this.sums, (value) => (norm === 0 ? 0 : value / norm));
  }
}
