/** @file What can be done to a group of weights, tried without training. */
import { z } from 'zod';
import type { Component, ComponentEntry } from '../bundle/manifest';
import { lowRank, multiplied } from '../factorize/low-rank';
import { clone, Tensor } from '../graph';
import type { Model } from '../graph';
import { quantizeModel } from '../quantize';
import type { QuantizeMethod } from '../quantize';

export const choiceSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('int8').describe('Int8 weights, activations quantized while running.') }),
  z.strictObject({
    type: z.literal('weights').describe('Weights of few bits in blocks, activations float.'),
    bits: z
      .union([z.literal(8), z.literal(6), z.literal(4)])
      .default(4)
      .describe('Bits of a weight.'),
  }),
  z.strictObject({
    type: z.literal('prune').describe('Neurons become zero, those with the smallest norm.'),
    share: z.number().gt(0).lt(1).default(0.5).describe('Share of the neurons.'),
  }),
  z.strictObject({
    type: z.literal('rank').describe('Two thin matrices in the place of one, by singular values.'),
    share: z.number().gt(0).lt(1).default(0.25).describe('Rank as a share of the full rank.'),
  }),
]);
export type Choice = z.infer<typeof choiceSchema>;

const percent = (share: number): string => `${Number((100 * share).toFixed(1))} %`;

/** How a choice is called in tables. */
export function nameOf(choice: Choice): string {
  switch (choice.type) {
    case 'int8':
      return 'int8';
    case 'weights':
      return `${choice.bits} bit weights`;
    case 'prune':
      return `prune ${percent(choice.share)}`;
    case 'rank':
      return `rank ${percent(choice.share)}`;
  }
}

/** The share in the name of a choice of this type; undefined in any other name. */
export function shareIn(name: string, type: 'prune' | 'rank'): number | undefined {
  const found = /^(\w+) ([\d.]+) %$/.exec(name);
  return found?.[1] === type ? Number(found[2]) / 100 : undefined;
}

/** A choice made ready for one model: any group of weights can be treated, the rest stays. */
export interface Treatment {
  /** Weights that it can be applied to. */
  readonly weights: readonly string[];
  /** Whether the treated model runs as it would after compression; otherwise its weights only take their new values. */
  readonly isReal: boolean;
  /** A copy of the model with these weights treated. */
  readonly apply: (weights: readonly string[]) => Model;
  /** Share of the operations of a product with this weight that remains. */
  readonly flopsKept: (weight: string) => number;
  /** Bytes of the weight afterwards. */
  readonly bytes: (weight: string) => number;
}

/** Weights that share a scale. */
const BLOCK = 32;

export function treat(choice: Choice, model: Model, entries: readonly ComponentEntry[]): Treatment {
  switch (choice.type) {
    case 'int8':
      return quantized(model, entries, { kind: 'dynamic', form: 'matmul-integer' }, 1);
    case 'weights': {
      const format = { bits: choice.bits, block: BLOCK, symmetric: true } as const;
      const bytesPerWeight = choice.bits / 8 + 4 / BLOCK; // a float32 scale for each block
      return quantized(model, entries, { kind: 'weight-only', ...format, compute: 'float32' }, bytesPerWeight);
    }
    case 'prune':
      return pruned(model, entries, choice.share);
    case 'rank':
      return thinned(model, entries, choice.share);
  }
}

function quantized(
  model: Model,
  components: readonly ComponentEntry[],
  method: QuantizeMethod,
  bytesPerWeight: number,
): Treatment {
  const probe = quantizeModel(clone(model), method, { components }).quantized.map(({ weight }) => weight);
  return {
    weights: probe,
    isReal: true,
    apply(weights) {
      const copy = clone(model);
      const treated = new Set(weights);
      const names = probe.filter((weight) => !treated.has(weight));
      quantizeModel(copy, method, { components, exclude: { components: [], layers: [], names } });
      return copy;
    },
    flopsKept: () => 1,
    bytes: (weight) => sizeOf(model, weight) * bytesPerWeight,
  };
}

/** Which side of a matrix [in, out] its neurons are on; the others have no neurons that can go by themselves. */
const NEURONS: Partial<Record<Component, 'in' | 'out'>> = {
  W_Q: 'out',
  W_K: 'out',
  W_V: 'out',
  W_AO: 'in',
  W_I: 'out',
  W_O: 'in',
};

function pruned(model: Model, entries: readonly ComponentEntry[], share: number): Treatment {
  const prunable = entries.filter(({ component, weight }) => NEURONS[component] && isMatrix(model, weight));
  return replaced(
    model,
    prunable.map(({ weight }) => weight),
    1 - share,
    (weight) => {
      const entry = prunable.find((candidate) => candidate.weight === weight)!;
      const side = NEURONS[entry.component];
      const alongRows = (side === 'in') !== (entry.transposed === true);
      return withoutSmallest(matrixOf(model, weight), alongRows, share, side === 'out' ? entry.bias : undefined, model);
    },
  );
}

/** Zeroes the rows (or columns) of the smallest Euclidean norm, with their biases. */
function withoutSmallest(
  matrix: Tensor<'float32'>,
  alongRows: boolean,
  share: number,
  bias: string | undefined,
  model: Model,
): Replacement {
  const [rows, columns] = matrix.dims as [number, number];
  const count = alongRows ? rows : columns;
  const norms = new Float64Array(count);
  const data = matrix.data.slice();
  for (let i = 0; i < data.length; i++) norms[alongRows ? Math.floor(i / columns) : i % columns] += data[i] ** 2;
  const order = Array.from(norms.keys()).sort((a, b) => norms[a] - norms[b]);
  const gone = new Set(order.slice(0, Math.round(share * count)));
  for (let i = 0; i < data.length; i++) if (gone.has(alongRows ? Math.floor(i / columns) : i % columns)) data[i] = 0;
  const vector = bias === undefined ? undefined : model.graph.values.get(bias)?.constant;
  if (bias === undefined || !vector?.is('float32') || vector.size !== count)
    return { tensor: Tensor.float32(matrix.dims, data) };
  const biases = vector.data.map((value, i) => (gone.has(i) ? 0 : value));
  return {
    tensor: Tensor.float32(matrix.dims, data),
    bias: { name: bias, tensor: Tensor.float32(vector.dims, biases) },
  };
}

function thinned(model: Model, entries: readonly ComponentEntry[], share: number): Treatment {
  const weights = entries.filter(({ weight }) => isMatrix(model, weight)).map(({ weight }) => weight);
  const rankOf = (weight: string): number => {
    const [rows, columns] = matrixOf(model, weight).dims;
    return Math.max(1, Math.round(share * Math.min(rows, columns)));
  };
  const kept = (weight: string): number => {
    const [rows, columns] = matrixOf(model, weight).dims;
    return (rankOf(weight) * (rows + columns)) / (rows * columns);
  };
  return replaced(model, [...new Set(weights)], kept, (weight) => {
    const { dims, data } = matrixOf(model, weight);
    const [rows, columns] = dims as [number, number];
    return {
      tensor: Tensor.float32(dims, multiplied(lowRank({ rows, columns, data }, rankOf(weight)), rows, columns)),
    };
  });
}

interface Replacement {
  readonly tensor: Tensor;
  readonly bias?: { readonly name: string; readonly tensor: Tensor };
}

/** A treatment that gives weights other values in the same graph; each is computed once. */
function replaced(
  model: Model,
  weights: readonly string[],
  kept: number | ((weight: string) => number),
  replace: (weight: string) => Replacement,
): Treatment {
  const known = new Map<string, Replacement>();
  const replacementOf = (weight: string): Replacement => {
    const replacement = known.get(weight) ?? replace(weight);
    known.set(weight, replacement);
    return replacement;
  };
  const keptOf = (weight: string): number => (typeof kept === 'number' ? kept : kept(weight));
  return {
    weights,
    isReal: false,
    apply(chosen) {
      const copy = clone(model);
      for (const weight of chosen) {
        const { tensor, bias } = replacementOf(weight);
        copy.graph.value(weight).constant = tensor;
        if (bias) copy.graph.value(bias.name).constant = bias.tensor;
      }
      return copy;
    },
    flopsKept: keptOf,
    bytes: (weight) => sizeOf(model, weight) * 4 * keptOf(weight),
  };
}

const matrixOf = (model: Model, weight: string): Tensor<'float32'> =>
  model.graph.value(weight).constant as Tensor<'float32'>;

const sizeOf = (model: Model, weight: string): number => matrixOf(model, weight).size;

function isMatrix({ graph }: Model, weight: string): boolean {
  const constant = graph.values.get(weight)?.constant;
  return constant?.is('float32') === true && constant.dims.length === 2;
}
