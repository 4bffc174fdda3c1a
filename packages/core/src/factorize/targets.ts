/** @file Which weights of a graph can become two, and how each is read. */
import type { Component, ComponentEntry } from '../bundle/manifest';
import type { Graph, Node, Value } from '../graph';
import { findSites } from '../quantize/sites';
import type { LinearSite, Site } from '../quantize/sites';

/** A weight that every reader of can read as two. */
export interface Target {
  /** The initializer, [rows, columns] as stored. */
  readonly weight: Value;
  readonly component: Component;
  /** Undefined outside layers; the first of those that share the weight. */
  readonly layer: number | undefined;
  readonly kind: 'linear' | 'table';
  /** True when the initializer is stored [out, in]. */
  readonly transposed: boolean;
  readonly sites: readonly Site[];
  /** The initializer that is added to the product, if there is one product and nothing else reads the initializer. */
  readonly bias: Value | undefined;
}

/** A chosen weight that stays as it is. */
export interface Passed {
  readonly weight: string;
  readonly component: Component;
  readonly layer: number | undefined;
  readonly reason: string;
}

/** Weights of the chosen components: what can be factorized and what cannot, with the reason. */
export function findTargets(
  graph: Graph,
  entries: readonly ComponentEntry[],
  components: readonly Component[],
): { targets: Target[]; passed: Passed[] } {
  const sitesOf = new Map<Value, Site[]>();
  for (const site of findSites(graph).sites) sitesOf.set(site.weight, [...(sitesOf.get(site.weight) ?? []), site]);
  const targets: Target[] = [];
  const passed: Passed[] = [];
  const seen = new Set<string>();
  for (const entry of entries) {
    if (!components.includes(entry.component) || seen.has(entry.weight)) continue;
    seen.add(entry.weight);
    const { component, layer } = entry;
    const weight = graph.value(entry.weight);
    const sites = sitesOf.get(weight) ?? [];
    const reason = entry.factor ? 'it is a factor already' : problem(weight, sites);
    if (reason) passed.push({ weight: entry.weight, component, layer, reason });
    else targets.push({ weight, component, layer, ...formOf(sites), sites, bias: ownBias(sites) });
  }
  return { targets, passed };
}

/** Every way in which the weight is read is one form. */
const formOf = ([first]: readonly Site[]): Pick<Target, 'kind' | 'transposed'> => ({
  kind: first.kind,
  transposed: first.kind === 'linear' && first.transposed,
});

function ownBias([site, another]: readonly Site[]): Value | undefined {
  if (another || site.kind !== 'linear' || site.scale !== 1 || site.bias?.factor !== 1) return undefined;
  const { value } = site.bias;
  return value.uses.size === 1 ? value : undefined;
}

function problem(weight: Value, sites: readonly Site[]): string | undefined {
  if (sites.length === 0) return 'nothing multiplies by it or looks rows up in it';
  const form = formOf(sites);
  if (sites.some((site) => site.kind !== form.kind)) return 'it is a look-up table and a factor of a product at once';
  if (sites.some((site) => formOf([site]).transposed !== form.transposed)) return 'it is read in two orientations';
  const own = new Set(sites.map(({ node }) => node));
  const other = terminalReaders(weight).find((node) => !own.has(node));
  return other && `${other} reads it, too`;
}

/** Nodes that read a value, seen through Identity and Transpose. */
function terminalReaders(value: Value): Node[] {
  return value.consumers.flatMap((node) =>
    node.opType === 'Identity' || node.opType === 'Transpose' ? terminalReaders(node.output()) : [node],
  );
}

export const isLinear = (site: Site): site is LinearSite => site.kind === 'linear';
