/** @file How much the answers suffer from what a matrix loses, from what the sensitivity stage found. */
import type { ShareEffect } from '../sensitivity/required';
import { keptEnergy } from './low-rank';
import type { Spectrum } from './ranks';
import type { Target } from './targets';

/** Least share of the energy that counts as lost: a matrix that loses nothing at a rank has no harm to tell. */
const LEAST = 1e-6;

/**
 * Divergence for each share of a matrix's energy that is lost, by target: KL is, near its zero, a quadratic form of the
 * change of the logits, so it grows with the squared singular values that are left out. Of the ranks that were tried,
 * the largest tells: it is nearest to zero. A group that was tried as a whole counts evenly for its weights.
 * @param effects of the choice `rank`, by ascending share of the full rank
 */
export function harms(
  effects: readonly ShareEffect[],
  targets: readonly Pick<Target, 'weight'>[],
  spectra: readonly Spectrum[],
): number[] {
  return targets.map(({ weight }, i) => {
    const own = effects.filter(({ scope, weights }) => scope !== 'layer' && weights.includes(weight.name));
    const tried = own.findLast(({ scope }) => scope === 'cell') ?? own.at(-1);
    if (!tried) return 0;
    const { rows, columns, energies } = spectra[i];
    const rank = Math.max(1, Math.round(tried.share * Math.min(rows, columns)));
    const lost = Math.max(LEAST, 1 - keptEnergy(energies, rank));
    return tried.divergence / tried.weights.length / lost;
  });
}
