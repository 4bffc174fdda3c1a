/** @file How much the answers suffer from what a matrix loses, from what the sensitivity stage found. */
import type { ShareEffect } from '../sensitivity/required';
import { keptEnergy } from './low-rank';
import type { Spectrum } from './ranks';
import type { Target } from './targets';

/** Least share of the energy that counts as lost: a matrix that loses nothing at a rank has no harm to tell. */
const LEAST = 1e-6;

/**
 * By target, the divergence for each share of its energy that is lost, and the rank that was tried, below which nothing
 * tells what happens: KL is, near its zero, a quadratic form of the change of the logits, so it grows with the squared
 * singular values that are left out, but soon faster. A group that was tried as a whole counts evenly for its weights.
 * @param effects of the choice `rank`, by ascending share of the full rank; the least share counts
 */
export function withHarms(
  effects: readonly ShareEffect[],
  targets: readonly Pick<Target, 'weight'>[],
  spectra: readonly Spectrum[],
): Spectrum[] {
  return targets.map(({ weight }, i) => {
    const { rows, columns, energies } = spectra[i];
    const own = effects.filter(({ scope, weights }) => scope !== 'layer' && weights.includes(weight.name));
    const tried = own.find(({ scope }) => scope === 'cell') ?? own[0];
    if (!tried) return { rows, columns, energies, harm: 0 };
    const minimum = Math.max(1, Math.round(tried.share * Math.min(rows, columns)));
    const lost = Math.max(LEAST, 1 - keptEnergy(energies, minimum));
    return { rows, columns, energies, harm: tried.divergence / tried.weights.length / lost, minimum };
  });
}
