/** @file Int8 dynamic quantization: int8 weights in the file, activations quantized while the model runs. */
import type { Component, ComponentEntry } from '../bundle/manifest';
import { throwIfAborted } from '../errors';
import type { Model, Value } from '../graph';
import { Int8Emitter } from './emit';
import type { EmissionForm } from './emit';
import { exclusionReason, exclusionsSchema, unknownNames } from './exclude';
import type { Exclusions } from './exclude';
import { findSites, refuseQuantized } from './sites';
import type { Site, Skipped } from './sites';
import { replaceWeight } from './weight';

export interface DynamicInt8Options {
  readonly form: EmissionForm;
  readonly exclude?: Exclusions;
  /** Roles of the weights, for exclusion and the report; from the bundle's manifest. */
  readonly components?: readonly ComponentEntry[];
  /** Weights with fewer elements stay float. Default 1,024. */
  readonly minElements?: number;
  /**
   * Whether int8 weights may be put where the float ones were, which nothing outside the model must read any more: a
   * large model is then never in memory one and a quarter times. Default false.
   */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each weight. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** One weight that became int8. */
export interface QuantizedWeight {
  readonly weight: string;
  readonly component: Component | undefined;
  readonly layer: number | undefined;
  /** Names of the nodes that read it. */
  readonly nodes: readonly string[];
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Frobenius norm of the rounding error over that of the weight. */
  readonly relativeError: number;
  /** Whether the initializer is now stored [out, in]. */
  readonly transposed: boolean;
}

export interface DynamicInt8Result {
  readonly quantized: readonly QuantizedWeight[];
  readonly skipped: readonly Skipped[];
  /** Excluded names that match nothing. */
  readonly unknownNames: readonly string[];
}

const NOTHING: Exclusions = exclusionsSchema.parse({});

/**
 * Rewrites a model in place: every product with a constant [in, out] float weight gets an int8 weight with one scale
 * per output, every look-up in a constant table an int8 table with one scale per row. An int8 weight keeps the name of
 * the float initializer, so a bundle's component map stays true (see `transposed` of the result).
 * @throws `quantize.already-quantized`, `quantize.not-finite`, `cancelled`.
 */
export function quantizeDynamicInt8(model: Model, options: DynamicInt8Options): DynamicInt8Result {
  const { graph } = model;
  refuseQuantized(graph);
  const { sites, skipped } = findSites(graph);
  const entries = new Map(options.components?.map((entry) => [entry.weight, entry]));
  const exclude = options.exclude ?? NOTHING;
  const byWeight = new Map<Value, Site[]>();
  for (const site of sites) {
    const reason = exclusionReason(site, entries.get(site.weight.name), exclude, options.minElements ?? 1024);
    if (reason) skipped.push({ node: site.node.name, op: site.node.opType, weight: site.weight.name, reason });
    else byWeight.set(site.weight, [...(byWeight.get(site.weight) ?? []), site]);
  }
  const emitter = new Int8Emitter(model, options.form);
  const quantized: QuantizedWeight[] = [];
  for (const [weight, readers] of byWeight) {
    throwIfAborted(options.signal);
    const { name } = weight;
    const { component, layer } = entries.get(name) ?? {};
    const replaced = replaceWeight(graph, emitter, weight, readers, options.overwrite ?? false);
    quantized.push({ weight: name, component, layer, nodes: readers.map((site) => site.node.name), ...replaced });
    options.onProgress?.(quantized.length, byWeight.size);
  }
  graph.sort();
  return { quantized, skipped, unknownNames: unknownNames(sites, exclude) };
}
