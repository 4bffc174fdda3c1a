/** @file Which weights stay in float although they could be quantized. */
import { z } from 'zod';
import { COMPONENTS } from '../bundle/manifest';
import type { ComponentEntry } from '../bundle/manifest';
import type { Reader } from './sites';

export const exclusionsSchema = z.strictObject({
  components: z
    .array(z.enum(COMPONENTS))
    .default([])
    .describe('Roles of weights that stay float, e.g. ["classifier"].'),
  layers: z.array(z.int().min(0)).default([]).describe('Transformer layers that stay float, counted from 0.'),
  names: z.array(z.string().min(1)).default([]).describe('Graph nodes or weights that stay float, by exact name.'),
});
export type Exclusions = z.infer<typeof exclusionsSchema>;

/** Why a site stays float, or undefined if it is to be quantized. */
export function exclusionReason(
  site: Reader,
  entry: ComponentEntry | undefined,
  exclude: Exclusions,
  minElements: number,
): string | undefined {
  if (entry && exclude.components.includes(entry.component)) return `component ${entry.component} is excluded`;
  if (entry?.layer !== undefined && exclude.layers.includes(entry.layer)) return `layer ${entry.layer} is excluded`;
  for (const name of [site.node.name, site.weight.name]) {
    if (exclude.names.includes(name)) return `"${name}" is excluded`;
  }
  const elements = site.weight.constant!.size;
  if (elements < minElements) return `only ${elements} elements: fewer bits would not make it smaller or faster`;
  return undefined;
}

/** Excluded names that are neither a node nor a weight of a site: most likely a typing error. */
export function unknownNames(sites: readonly Reader[], exclude: Exclusions): string[] {
  const known = new Set(sites.flatMap((site) => [site.node.name, site.weight.name]));
  return exclude.names.filter((name) => !known.has(name));
}
