/**
 * @file Quantization inside a training graph: w' = s round(clip(w / s, -Qn, Qp)) with straight-through rounding, so that
 * weights train for the codes they will get, and s trains with them (LSQ: Esser et al. 2020, equations 1 to 3). The
 * scale is s = s0 exp(d): d, which starts at 0, is the parameter, so that a scale stays positive and a step changes it
 * in proportion, whatever its size.
 */
import type { ComponentEntry } from '../bundle/manifest';
import { Tensor } from '../graph';
import type { Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { quantizeSymmetric, symmetricLevels } from './affine';
import type { BlockFormat } from './blocks';
import { exclusionReason } from './exclude';
import type { Exclusions } from './exclude';
import { findSites, plainProducts } from './sites';
import type { LinearSite } from './sites';
import type { ActivationGrid } from './static';

/** What the finished model will do. */
export interface FakeQuantizeOptions {
  /** Blocks of weight-only quantization; without it one int8 scale per output. */
  readonly blocks?: BlockFormat;
  /** Starting grids of the products' inputs, for static int8; without it activations stay float. */
  readonly grids?: ReadonlyMap<string, ActivationGrid>;
  readonly exclude: Exclusions;
  readonly components: readonly ComponentEntry[];
  readonly minElements: number;
}

/** A scale that trains. */
export interface LearnedScale {
  /** Weight or activation that it belongs to. */
  readonly of: string;
  /** Parameter d. */
  readonly parameter: string;
  /** s0; of weights [outputs], or with blocks as the graph has them: see `blockOrder`. */
  readonly start: Float32Array;
}

export interface FakeQuantized {
  readonly weights: readonly (LearnedScale & { readonly transposed: boolean })[];
  readonly activations: readonly LearnedScale[];
}

/** Rewrites the products of a model in place. Look-ups stay float: rows that a batch does not read would cost as much. */
export function fakeQuantize(model: Model, options: FakeQuantizeOptions): FakeQuantized {
  const build = new GraphBuilder(model);
  const sites = trainedSites(model, options);
  const weights = [...new Map(sites.map((site) => [site.weight, site])).values()].map((site) =>
    build.scope(site.weight.name, () =>
      options.blocks ? fakeBlocks(build, site, options.blocks) : fakeChannels(build, site),
    ),
  );
  const activations = options.grids ? fakeActivations(build, sites, options.grids) : [];
  model.graph.sort();
  return { weights, activations };
}

/** s0 exp(d) for a trained d. */
export const learnedScales = ({ start }: LearnedScale, d: Float32Array): Float32Array =>
  start.map((scale, i) => scale * Math.exp(d[i]));

/** Products that quantization will rewrite, but for weights that others read, too, and those that blocks cannot cut. */
function trainedSites(model: Model, { exclude, components, minElements, blocks }: FakeQuantizeOptions): LinearSite[] {
  const entries = new Map(components.map((entry) => [entry.weight, entry]));
  return plainProducts(findSites(model.graph).sites).filter(
    (site) =>
      !exclusionReason(site, entries.get(site.weight.name), exclude, minElements) &&
      (!blocks || inputsOf(site) % blocks.block === 0),
  );
}

const inputsOf = ({ weight, transposed }: LinearSite): number => weight.constant!.dims[transposed ? 1 : 0];

/** One scale per output, -127..127. */
function fakeChannels(build: GraphBuilder, { weight, transposed }: LinearSite): FakeQuantized['weights'][number] {
  const axis = transposed ? 'rows' : 'columns';
  const { scales: start } = quantizeSymmetric(weight.constant as Tensor<'float32'>, axis, weight.name);
  const readers = [...weight.uses];
  const { scale, parameter } = scaleOf(build, weight.name, start, transposed ? [start.length, 1] : [1, start.length]);
  const levels = symmetricLevels(8);
  const rounded = onGrid(build, weight, scale, -levels, levels);
  for (const { node, index } of readers) build.graph.setInput(node, index, rounded);
  return { of: weight.name, parameter, start, transposed };
}

/** A scale for each block of inputs of each output, -2^(b-1)..2^(b-1) - 1. */
function fakeBlocks(
  build: GraphBuilder,
  { weight, transposed }: LinearSite,
  { block, bits }: BlockFormat,
): FakeQuantized['weights'][number] {
  const tensor = weight.constant as Tensor<'float32'>;
  const [rows, columns] = tensor.dims;
  const cut = transposed ? [rows, columns / block, block] : [rows / block, block, columns];
  const shape = transposed ? [cut[0], cut[1], 1] : [cut[0], 1, cut[2]];
  const half = 2 ** (bits - 1);
  const start = blockMaxima(tensor.data, cut, transposed).map((max) => (max > 0 ? max / (half - 1) : 1));
  const readers = [...weight.uses];
  const { scale, parameter } = scaleOf(build, weight.name, start, shape);
  const blocks = build.op('Reshape', [weight, build.int64s(cut)]);
  const rounded = onGrid(build, blocks, scale, -half, half - 1);
  const whole = build.op('Reshape', [rounded, build.int64s(tensor.dims)]);
  for (const { node, index } of readers) build.graph.setInput(node, index, whole);
  return { of: weight.name, parameter, start, transposed };
}

/** Largest magnitude of each block, in row-major order of the scales' shape. */
function blockMaxima(data: Float32Array, [a, b, c]: readonly number[], transposed: boolean): Float32Array {
  const maxima = new Float32Array(transposed ? a * b : a * c);
  data.forEach((value, at) => {
    const k = at % c;
    const j = Math.floor(at / c) % b;
    const i = Math.floor(at / (b * c));
    const scale = transposed ? i * b + j : i * c + k;
    maxima[scale] = Math.max(maxima[scale], Math.abs(value));
  });
  return maxima;
}

/** Scales of `fakeBlocks` as [outputs, blocks]. */
export function blockOrder(scales: Float32Array, outputs: number, transposed: boolean): Float32Array {
  if (transposed) return scales;
  const blocks = scales.length / outputs;
  return scales.map((_, at) => scales[(at % blocks) * outputs + Math.floor(at / blocks)]);
}

/** One scale per value; the zero point stays where calibration put it. */
function fakeActivations(
  build: GraphBuilder,
  sites: readonly LinearSite[],
  grids: ReadonlyMap<string, ActivationGrid>,
): LearnedScale[] {
  const made = new Map<Value, { value: Value; learned: LearnedScale }>();
  for (const { node } of sites) {
    const input = node.input(0);
    let known = made.get(input);
    if (!known) {
      const { scale: start, zeroPoint } = grids.get(input.name)!;
      known = build.scope(input.name, () => {
        const { scale, parameter } = scaleOf(build, input.name, Float32Array.of(start), [1]);
        const learned = { of: input.name, parameter, start: Float32Array.of(start) };
        return { value: onGrid(build, input, scale, -zeroPoint, 255 - zeroPoint), learned };
      });
      made.set(input, known);
    }
    build.graph.setInput(node, 0, known.value);
  }
  return [...made.values()].map(({ learned }) => learned);
}

/** s0 exp(d) as `shape`; d is a vector, which weight decay leaves alone. */
function scaleOf(
  build: GraphBuilder,
  of: string,
  start: Float32Array,
  shape: readonly number[],
): { scale: Value; parameter: string } {
  const parameter = `${of}.log_scale`;
  const d = build.parameter(parameter, Tensor.float32([start.length], new Float32Array(start.length)));
  const s0 = build.constant(Tensor.float32([start.length], start), 'start_scale');
  const scale = build.op('Mul', [s0, build.op('Exp', [d])]);
  return { scale: build.op('Reshape', [scale, build.int64s(shape)]), parameter };
}

/** s round(clip(x / s, low, high)); Round has the straight-through derivative 1. */
function onGrid(build: GraphBuilder, x: Value, scale: Value, low: number, high: number): Value {
  const clipped = build.op('Clip', [build.op('Div', [x, scale]), build.scalar(low), build.scalar(high)]);
  return build.op('Mul', [build.op('Round', [clipped]), scale]);
}
