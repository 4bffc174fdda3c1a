/** @file Targets of single components from what the sensitivity stage found: who suffers less gives more. */
import type { Bundle } from '../bundle';
import { sizeOf } from '../graph';
import { allotShares } from '../sensitivity/allot';
import type { Harm } from '../sensitivity/allot';
import { requireEffects } from '../sensitivity/required';
import type { ShareEffect } from '../sensitivity/required';
import { isStructured } from './config';
import type { PrunableComponent, PruneConfig } from './config';

/** No component loses more than this by sensitivity: beyond, nothing was tried that could tell. */
export const MOST = 0.95;

/** Matrices that are pruned together, under the one whose target counts. Neurons go from two matrices at once. */
const TOGETHER: Readonly<
  Record<'structured' | 'unstructured', Partial<Record<PrunableComponent, readonly PrunableComponent[]>>>
> = {
  structured: { W_Q: ['W_Q', 'W_K'], W_V: ['W_V'], W_I: ['W_I'] },
  unstructured: { W_Q: ['W_Q'], W_K: ['W_K'], W_V: ['W_V'], W_AO: ['W_AO'], W_I: ['W_I'], W_O: ['W_O'] },
};

/** A component's target, and what it follows from. */
export interface SensitiveTarget extends Harm {
  readonly component: PrunableComponent;
  readonly target: number;
}

/**
 * Divides the target of a config among the components so that the divergences which the sensitivity stage measured
 * add up to the least.
 * @param folder of the bundle that a sensitivity stage handed on
 * @throws invalid `sensitivity.missing`
 */
export async function sensitiveTargets(
  folder: string,
  { model, manifest }: Pick<Bundle, 'model' | 'manifest'>,
  { target, floor, granularity }: PruneConfig,
): Promise<SensitiveTarget[]> {
  const effects = await requireEffects(folder, 'prune', 'bySensitivity');
  const together = TOGETHER[isStructured(granularity) ? 'structured' : 'unstructured'];
  const weights = manifest.components.filter(({ layer }) => layer !== undefined);
  const groups = (Object.keys(together) as PrunableComponent[]).map((component) => {
    const own = weights.filter((entry) => entry.component === component);
    const units = own.reduce((sum, { weight }) => sum + sizeOf(model.graph.value(weight).constant!.dims), 0);
    return { component, units, tried: divergences(effects, together[component]!) };
  });
  const shares = allotShares(groups, target, Math.min(MOST, 1 - floor));
  return groups.map((group, i) => ({ ...group, target: shares[i] }));
}

/** Sums over components that go together, by share. */
function divergences(effects: readonly ShareEffect[], components: readonly string[]): [number, number][] {
  const sums = new Map<number, number>();
  for (const { scope, component, share, divergence } of effects) {
    if (scope !== 'component' || component === undefined || !components.includes(component)) continue;
    sums.set(share, (sums.get(share) ?? 0) + divergence);
  }
  return [...sums];
}
