/** @file A budget divided among groups of weights by what compressing each of them did to the answers. */

/** A group, and what removing shares of it did. */
export interface Harm {
  /** Number of units of which a share goes: neurons, weights. */
  readonly units: number;
  /** [share, divergence], ascending; at least one. */
  readonly tried: readonly (readonly [share: number, divergence: number])[];
}

/** Shares are allotted in steps of this. */
const STEP = 0.01;

/**
 * The share to remove of each group, so that `share` of all units goes and the sum of the divergences is least: every
 * next hundredth of a group goes where it adds the least divergence for a unit.
 * @param most largest share of a group; `share` is at most that
 */
export function allotShares(groups: readonly Harm[], share: number, most: number): number[] {
  const shares = groups.map(() => 0);
  const size = (units: number, from: number, to: number): number => units * (to - from);
  let left = share * groups.reduce((sum, { units }) => sum + units, 0);
  for (;;) {
    let best: { readonly group: number; readonly to: number; readonly price: number } | undefined;
    for (const [group, { units, tried }] of groups.entries()) {
      const from = shares[group];
      const to = Math.min(most, from + STEP);
      if (units === 0 || to - from < STEP * 1e-6) continue;
      const price = (divergenceAt(tried, to) - divergenceAt(tried, from)) / size(units, from, to);
      if (!best || price < best.price) best = { group, to, price };
    }
    if (!best || left <= 0) return shares;
    const { group, to } = best;
    const { units } = groups[group];
    const step = Math.min(left, size(units, shares[group], to));
    shares[group] += step / units;
    left -= step;
  }
}

/**
 * Divergence at a share, from those that were tried. KL is, near its zero, a quadratic form of the change of the logits,
 * so it is taken as linear in the square of the share between two that were tried, and on the parabola beyond the last.
 */
function divergenceAt(tried: Harm['tried'], share: number): number {
  const above = tried.findIndex(([at]) => at >= share);
  if (above < 0) {
    const [at, divergence] = tried.at(-1)!;
    return divergence * (share / at) ** 2;
  }
  const [from, low] = tried[above - 1] ?? [0, 0];
  const [to, high] = tried[above];
  return low + ((high - low) * (share ** 2 - from ** 2)) / (to ** 2 - from ** 2);
}
