/** @file Chooses for each product the fastest of dense float, dense int8 and sparse, and writes the model so. */
import type { Component, ComponentEntry } from '../bundle/manifest';
import { throwIfAborted } from '../errors';
import { clone } from '../graph';
import type { Model } from '../graph';
import { removeDeadCode } from '../passes';
import { exclusionsSchema, findSites, quantizeDynamicInt8 } from '../quantize';
import { lowerGelu } from '../runtime/native/lower/gelu';
import { lowerResidualNorm } from '../runtime/native/lower/layer-norm';
import { SPARSE_PATTERNS, storedShare } from './pack';
import type { DenseWeight, SparsePattern } from './pack';
import { rewriteSparse, weightOf } from './rewrite';
import { timeForms } from './trial';
import type { ProductForm, TrialOptions } from './trial';

export interface AccelerateOptions extends TrialOptions {
  /** Whether layers may become int8, which changes the model's answers a little. */
  readonly int8: boolean;
  /** Roles of the weights, for the report. */
  readonly components: readonly ComponentEntry[];
  readonly onProgress?: (done: number, total: number) => void;
}

/** What became of one weight. */
export interface AcceleratedWeight {
  readonly weight: string;
  readonly component: Component | undefined;
  readonly layer: number | undefined;
  readonly dims: readonly [inputs: number, outputs: number];
  /** Share of zeros. */
  readonly sparsity: number;
  readonly form: ProductForm;
  /** Median milliseconds of one product by form; empty where none but fp32 was worth trying. */
  readonly milliseconds: ReadonlyMap<ProductForm, number>;
}

export interface Accelerated {
  /** For the native runtime; the model that it was made from is left alone. */
  readonly model: Model;
  readonly weights: readonly AcceleratedWeight[];
}

/** Patterns that store more than this share of a weight are slower than the dense product. */
const LARGEST_SHARE = 0.5;
/** Weights of a size whose stored shares round to the same step are timed once. */
const SHARE_STEP = 0.05;

/**
 * A copy of the model for the native runtime. Every product is timed dense, int8 and in the sparse patterns that fit
 * its zeros, on random input of `rows` rows; weights of equal size and density share one trial.
 * @throws `runtime.native` where the native runtime is missing; `cancelled`
 */
export async function accelerate(original: Model, options: AccelerateOptions): Promise<Accelerated> {
  const model = clone(original);
  const sites = findSites(model.graph).sites.filter((site) => site.kind === 'linear');
  const roles = new Map(options.components.map((entry) => [entry.weight, entry]));
  const trials = new Map<string, ReadonlyMap<ProductForm, number>>();
  const weights: AcceleratedWeight[] = [];
  const floats: string[] = [];
  for (const [i, site] of sites.entries()) {
    throwIfAborted(options.signal);
    const dense = weightOf(site);
    const milliseconds = await trialOf(dense, trials, options);
    const form = fastest(milliseconds, options.int8);
    const { component, layer } = roles.get(site.weight.name) ?? {};
    weights.push({
      weight: site.weight.name,
      component,
      layer,
      dims: [dense.inputs, dense.outputs],
      sparsity: 1 - storedShare(dense, 'unstructured'),
      form,
      milliseconds,
    });
    if (form === 'fp32') floats.push(site.weight.name);
    else if (form !== 'int8') rewriteSparse(model, site, dense, form);
    options.onProgress?.(i + 1, sites.length);
  }
  if (weights.some(({ form }) => form === 'int8')) quantizeRest(model, floats);
  lowerGelu(model);
  lowerResidualNorm(model);
  removeDeadCode(model);
  return { model, weights };
}

/** Timings of a weight like this one. */
async function trialOf(
  weight: DenseWeight,
  known: Map<string, ReadonlyMap<ProductForm, number>>,
  options: AccelerateOptions,
): Promise<ReadonlyMap<ProductForm, number>> {
  const shares = SPARSE_PATTERNS.map((pattern): [SparsePattern, number] => [pattern, storedShare(weight, pattern)]);
  const patterns = shares.filter(([, share]) => share <= LARGEST_SHARE).map(([pattern]) => pattern);
  if (patterns.length === 0 && !options.int8) return new Map();
  const key = [weight.inputs, weight.outputs, ...shares.map(([, share]) => Math.round(share / SHARE_STEP))].join();
  let trial = known.get(key);
  if (!trial) known.set(key, (trial = await timeForms(weight, patterns, options)));
  return trial;
}

/** Forms that round to int8. */
const ROUNDED: readonly ProductForm[] = ['int8', '1x16-int8'];

function fastest(milliseconds: ReadonlyMap<ProductForm, number>, int8: boolean): ProductForm {
  const allowed = [...milliseconds].filter(([form]) => int8 || !ROUNDED.includes(form));
  return allowed.sort(([, a], [, b]) => a - b)[0]?.[0] ?? 'fp32';
}

/** Int8 for the products that are neither sparse nor named. Look-ups stay float: they take no time. */
function quantizeRest(model: Model, floats: readonly string[]): void {
  const tables = findSites(model.graph).sites.filter(({ kind }) => kind === 'table');
  const names = [...floats, ...tables.map(({ weight }) => weight.name)];
  quantizeDynamicInt8(model, { form: 'matmul-integer', exclude: exclusionsSchema.parse({ names }) });
}
