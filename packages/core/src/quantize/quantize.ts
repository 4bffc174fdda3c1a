/** @file The one way to quantize a model: a method and what stays float. */
import type { Component, ComponentEntry } from '../bundle/manifest';
import { throwIfAborted } from '../errors';
import type { Model, Value } from '../graph';
import { raiseOpset } from '../passes';
import { BlockRewriter, blockOf } from './block-weight';
import { DYNAMIC_FORMS, Int8Emitter } from './emit';
import type { LinearForm } from './emit';
import { exclusionReason, exclusionsSchema, unknownNames } from './exclude';
import type { Exclusions } from './exclude';
import { fitsHalf, HALF_MAX, storeHalf } from './fp16';
import type { QuantizeMethod, WeightOnlyMethod } from './method';
import { findSites, refuseQuantized } from './sites';
import type { Reader, Site, Skipped } from './sites';
import { staticForm } from './static';
import { isShared, replaceWeight } from './weight';
import type { ReplacedWeight } from './weight';

export interface QuantizeOptions {
  readonly exclude?: Exclusions | undefined;
  /** Roles of the weights, for exclusion and the report; from the bundle's manifest. */
  readonly components?: readonly ComponentEntry[];
  /** Weights with fewer elements stay float. Default 1,024. */
  readonly minElements?: number;
  /**
   * Whether codes may be put where the float weights were, which nothing outside the model must read any more: a
   * large model is then never in memory one and a quarter times. Default false.
   */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each weight. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** One weight that takes fewer bits now. */
export interface QuantizedWeight extends ReplacedWeight {
  readonly weight: string;
  readonly component: Component | undefined;
  readonly layer: number | undefined;
  /** Names of the nodes that read it. */
  readonly nodes: readonly string[];
}

export interface QuantizeResult {
  readonly quantized: readonly QuantizedWeight[];
  readonly skipped: readonly Skipped[];
  /** Excluded names that match nothing. */
  readonly unknownNames: readonly string[];
}

const NOTHING: Exclusions = exclusionsSchema.parse({});

/**
 * Rewrites a model in place: every product with a constant float weight and every look-up in a constant table reads a
 * quantized weight, or with fp16 every float initializer is stored in half precision. A quantized weight keeps the name
 * of the float initializer, so a bundle's component map stays true (see `transposed` of the result). The method holds
 * all that was learned from data, so that one method serves any number of calls with different exclusions.
 * @throws `quantize.already-quantized`, `quantize.not-finite`, `cancelled`.
 */
export function quantizeModel(model: Model, method: QuantizeMethod, options: QuantizeOptions = {}): QuantizeResult {
  refuseQuantized(model.graph);
  switch (method.kind) {
    case 'dynamic':
    case 'static': {
      const form = method.kind === 'dynamic' ? DYNAMIC_FORMS[method.form] : staticForm(method);
      return rewrite(model, int8Plan(model, form, method.scales, options.overwrite ?? false), options);
    }
    case 'weight-only':
      return rewrite(model, blockPlan(model, method, options.overwrite ?? false), options);
    case 'fp16':
      return rewrite(model, halfPlan(model, options.overwrite ?? false), options);
  }
}

function rewrite<R extends Reader>(model: Model, plan: Plan<R>, options: QuantizeOptions): QuantizeResult {
  const { exclude = NOTHING, minElements = 1024 } = options;
  const { readers: found, skipped } = plan;
  const entries = new Map(options.components?.map((entry) => [entry.weight, entry]));
  const byWeight = new Map<Value, R[]>();
  for (const reader of found) {
    const { node, weight } = reader;
    const reason = exclusionReason(reader, entries.get(weight.name), exclude, minElements);
    if (reason) skipped.push({ node: node.name, op: node.opType, weight: weight.name, reason });
    else byWeight.set(weight, [...(byWeight.get(weight) ?? []), reader]);
  }
  const quantized: QuantizedWeight[] = [];
  let done = 0;
  for (const [weight, readers] of byWeight) {
    throwIfAborted(options.signal);
    const { name } = weight;
    const nodes = readers.map(({ node }) => node.name);
    const problem = plan.problem(weight, readers);
    if (problem) {
      skipped.push(...readers.map(({ node }) => ({ node: node.name, op: node.opType, weight: name, reason: problem })));
    } else {
      const { component, layer } = entries.get(name) ?? {};
      quantized.push({ weight: name, component, layer, nodes, ...plan.replace(weight, readers) });
    }
    options.onProgress?.(++done, byWeight.size);
  }
  model.graph.sort();
  return { quantized, skipped, unknownNames: unknownNames(found, exclude) };
}

/** What a method does to which readers of weights. */
interface Plan<R extends Reader> {
  readonly readers: readonly R[];
  readonly skipped: Skipped[];
  /** Why this weight cannot be quantized so. */
  problem(weight: Value, readers: readonly R[]): string | undefined;
  replace(weight: Value, readers: readonly R[]): ReplacedWeight;
}

function int8Plan(
  model: Model,
  form: LinearForm,
  scales: ReadonlyMap<string, Float32Array> | undefined,
  overwrite: boolean,
): Plan<Site> {
  const { sites, skipped } = findSites(model.graph);
  const emitter = new Int8Emitter(model, form);
  return {
    readers: sites,
    skipped,
    problem: () => undefined,
    replace: (weight, readers) =>
      replaceWeight(model.graph, emitter, weight, readers, { overwrite, scales: scales?.get(weight.name) }),
  };
}

function blockPlan(model: Model, method: WeightOnlyMethod, overwrite: boolean): Plan<Site> {
  if (method.bits === 6) raiseOpset(model);
  const { sites, skipped } = findSites(model.graph);
  const rewriter = new BlockRewriter(model, method, overwrite);
  return {
    readers: sites,
    skipped,
    problem: (_, readers) => (blockOf(readers, method.block) ? undefined : 'its width is not a multiple of 16'),
    replace: (weight, readers) => rewriter.replace(weight, readers),
  };
}

/** Every float initializer, whatever reads it. */
function halfPlan({ graph }: Model, overwrite: boolean): Plan<Reader> {
  const weights = graph.initializers.filter(({ constant }) => constant?.dtype === 'float32');
  return {
    readers: weights.flatMap((weight) => weight.consumers.map((node) => ({ node, weight }))),
    skipped: [],
    problem: (weight) => (fitsHalf(weight.constant!) ? undefined : `it holds numbers beyond ${HALF_MAX}`),
    replace: (weight) => storeHalf(graph, weight, overwrite && !isShared(graph, weight)),
  };
}
