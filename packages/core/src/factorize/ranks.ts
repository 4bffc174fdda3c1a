/** @file Which rank each matrix gets. Pure arithmetic on spectra; no tensors. */
import { invalid } from '../errors';
import { breakEvenRank, keptEnergy } from './low-rank';
import type { Decomposition } from './low-rank';

/** A matrix and its squared singular values. */
export interface Spectrum extends Pick<Decomposition, 'rows' | 'columns' | 'energies'> {
  /** Where it is known: what each share of the squared singular values that is lost does to the answers. */
  readonly harm?: number;
  /** Least rank of this matrix, beside the limit of all. */
  readonly minimum?: number;
}

/** Rank by matrix, in the given order; undefined: the matrix stays whole, because two thin ones would be no smaller. */
export type Ranks = readonly (number | undefined)[];

export interface RankLimits {
  /** Least rank, as far as it saves anything. */
  readonly minimum: number;
  /** Ranks are multiples of this, or the minimum. */
  readonly multipleOf: number;
}

/** The same rank for all. */
export const fixedRanks = (matrices: readonly Pick<Spectrum, 'rows' | 'columns'>[], rank: number): Ranks =>
  matrices.map(({ rows, columns }) => (rank <= breakEvenRank(rows, columns) ? rank : undefined));

/** What is wrong with a rank that is above the full rank of every matrix of a component; undefined if nothing is. */
export function rankAboveFull(
  matrices: readonly { readonly component: string; readonly fullRank: number }[],
  rank: number,
): string | undefined {
  const largest = new Map<string, number>();
  for (const { component, fullRank } of matrices)
    largest.set(component, Math.max(fullRank, largest.get(component) ?? 0));
  const beyond = [...largest].find(([, fullRank]) => rank > fullRank);
  return beyond && `Rank ${rank} is above the full rank of ${beyond[0]}, which is ${beyond[1]}.`;
}

/** The smallest rank of each that keeps `share` of the squared singular values. */
export const ranksByEnergy = (matrices: readonly Spectrum[], share: number, limits: RankLimits): Ranks =>
  matrices.map(({ rows, columns, energies }) => {
    let rank = 1;
    // A little below the share counts as the share: sums of floats do not come to exactly 1.
    while (rank < energies.length && keptEnergy(energies, rank) < share - 1e-9) rank++;
    const rounded = Math.max(limits.minimum, roundUp(rank, limits.multipleOf));
    return rounded <= breakEvenRank(rows, columns) ? rounded : undefined;
  });

/**
 * Spends a number of parameters over all matrices: every next block of ranks goes where it adds, for a rank, the largest
 * share of its matrix's singular values (not squared: a few large directions would starve a matrix; not for a
 * parameter: that would starve the large matrices). Where the harm of what is lost is known, it goes where it spares the
 * most harm for a parameter. A matrix that reaches the rank where two thin ones save nothing
 * becomes whole.
 * @param parameters that all matrices may have together
 * @throws invalid `factorize.budget` when even the minimum ranks need more
 */
export function ranksWithin(matrices: readonly Spectrum[], parameters: number, limits: RankLimits): Ranks {
  const fills = matrices.map((matrix) => new Fill(matrix, limits));
  const least = fills.reduce((sum, fill) => sum + fill.size, 0);
  if (least > parameters) {
    throw invalid(
      'factorize.budget',
      `The chosen matrices cannot have ${Math.floor(parameters)} parameters together: at ${matrices.some(({ minimum }) => minimum) ? 'the least ranks that the sensitivity stage tried' : `the minimum rank of ${limits.minimum}`} they have ${least}.`,
      { field: 'budget' },
    );
  }
  let left = parameters - least;
  for (;;) {
    const open = fills.filter((fill) => fill.nextSize !== undefined && fill.nextSize - fill.size <= left);
    if (open.length === 0) return fills.map(({ rank }) => rank);
    const best = open.reduce((a, b) => (b.gain > a.gain ? b : a));
    left -= best.nextSize! - best.size;
    best.grow();
  }
}

/** One matrix while it gets its share of a budget. */
class Fill {
  /** undefined: whole. */
  rank: number | undefined;
  private readonly limit: number;
  private readonly total: number;

  constructor(
    private readonly matrix: Spectrum,
    private readonly limits: RankLimits,
  ) {
    this.limit = breakEvenRank(matrix.rows, matrix.columns);
    this.total = this.worth(matrix.energies);
    this.rank = this.limit < 1 ? undefined : Math.min(Math.max(limits.minimum, matrix.minimum ?? 0), this.limit);
  }

  get size(): number {
    return this.sizeAt(this.rank);
  }

  /** Parameters after one more block; undefined when the matrix is whole. */
  get nextSize(): number | undefined {
    return this.rank === undefined ? undefined : this.sizeAt(this.nextRank);
  }

  /** Harm that one more block spares, for a parameter; where that is not known, its share of the singular values, for a rank. */
  get gain(): number {
    if (this.rank === undefined || this.total === 0) return 0;
    const { rows, columns, energies, harm } = this.matrix;
    const parameters = this.nextSize! - this.size;
    const share = this.worth(energies.subarray(this.rank, this.nextRank)) / this.total;
    return harm === undefined ? share / (parameters / (rows + columns)) : (harm * share) / parameters;
  }

  private worth(energies: Float64Array): number {
    return this.matrix.harm === undefined ? sumOfRoots(energies) : sum(energies);
  }

  grow(): void {
    this.rank = this.nextRank;
  }

  private get nextRank(): number | undefined {
    const next = roundUp(this.rank! + 1, this.limits.multipleOf);
    return next > this.limit ? undefined : next;
  }

  private sizeAt(rank: number | undefined): number {
    const { rows, columns } = this.matrix;
    return rank === undefined ? rows * columns : rank * (rows + columns);
  }
}

const sum = (energies: Float64Array): number => energies.reduce((total, energy) => total + energy, 0);
const sumOfRoots = (energies: Float64Array): number => energies.reduce((sum, energy) => sum + Math.sqrt(energy), 0);

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;
