/** @file Accuracy-aware fallback: which groups to leave uncompressed so that the drop stays within a limit. */
import type { WeightGroup } from './groups';

/** What a version with some weights left alone came to. */
export interface Outcome {
  /** Figure of the goal's metric. */
  readonly figure: number;
  /** How much worse than the original, in the unit of the metric. */
  readonly drop: number;
  /** Distance from the original's answers; orders versions of equal drop. */
  readonly divergence: number;
  /** Of all weights. */
  readonly bytes: number;
}

/** One version that was tried. */
export interface Trial extends Outcome {
  /** Why it was tried. */
  readonly step: 'everything' | 'one alone' | 'worst added' | 'given back';
  /** Names of the groups left alone. */
  readonly reverted: readonly string[];
  readonly weights: readonly string[];
  readonly holds: boolean;
}

export interface FallbackOptions {
  /** Tried in this order of kinds: transformer blocks, then what single components can do. */
  readonly blocks: readonly WeightGroup[];
  readonly components: readonly WeightGroup[];
  /** Group names, the most sensitive first, where that is known already: spares trying each by itself. */
  readonly ranking?: readonly string[];
  /** Largest drop that is allowed. */
  readonly limit: number;
  /** Compresses everything but these weights and scores it. */
  evaluate(reverted: readonly string[]): Promise<Outcome>;
  /** Whether trials or time are used up, after this many trials. */
  isSpent(trials: number): boolean;
}

export interface FallbackResult {
  /** All versions, in the order in which they were tried. */
  readonly trials: readonly Trial[];
  /** The smallest that holds the limit, else the one with the least drop. */
  readonly best: Trial;
  /** Why it stopped before the limit held; absent when it holds. */
  readonly stopped?: 'trials or time used up' | 'nothing left that helps';
}

/**
 * Compresses everything. While the drop is too large, it leaves the most sensitive block alone, then the next; a block
 * that does not help is compressed again and the rest are ranked anew. When no block helps any more, components of all
 * layers are tried in the same way. Once the limit holds, components of the blocks left alone are compressed again as
 * far as it still holds.
 */
export async function searchFallback(options: FallbackOptions): Promise<FallbackResult> {
  return new Search(options).run();
}

/** A difference of two figures may be this much off: 0.96 - 0.95 is above 0.01. */
const ROUNDING = 1e-9;

class Search {
  private readonly trials: Trial[] = [];
  private readonly known = new Map<string, Trial>();

  constructor(private readonly options: FallbackOptions) {}

  async run(): Promise<FallbackResult> {
    const { blocks, components } = this.options;
    let state = await this.attempt('everything', []);
    state = await this.revert(state, blocks);
    state = await this.revert(state, components);
    if (state.holds && state.weights.length > 0) await this.giveBack(state);
    const best = this.best();
    if (best.holds) return { trials: this.trials, best };
    return {
      trials: this.trials,
      best,
      stopped: this.isSpent() ? 'trials or time used up' : 'nothing left that helps',
    };
  }

  /** Leaves groups alone, the worst first, until the limit holds, none helps, or trials are spent. */
  private async revert(start: Trial, groups: readonly WeightGroup[]): Promise<Trial> {
    let state = start;
    let queue = this.given(groups);
    while (!state.holds && !this.isSpent()) {
      if (queue.length === 0) {
        const ranked = await this.rank(state, groups);
        const holding = ranked.filter(({ trial }) => trial.holds).map(({ trial }) => trial);
        if (holding.length > 0) return holding.reduce(smaller);
        const before = state;
        queue = ranked.filter(({ trial }) => isBetter(trial, before)).map(({ group }) => group);
      }
      const [worst, ...others] = queue;
      if (worst === undefined || this.isSpent()) return state;
      const next = await this.attempt(
        'worst added',
        [...state.reverted, worst.name],
        [...state.weights, ...worst.weights],
      );
      // What does not help is compressed again, and the rest are ranked anew.
      queue = isBetter(next, state) ? others : [];
      if (isBetter(next, state)) state = next;
    }
    return state;
  }

  private given(groups: readonly WeightGroup[]): readonly WeightGroup[] {
    return (this.options.ranking ?? []).flatMap((name) => groups.filter((group) => group.name === name));
  }

  /** Each remaining group left alone by itself on top of the state, the most helpful first. */
  private async rank(
    state: Trial,
    groups: readonly WeightGroup[],
  ): Promise<{ readonly group: WeightGroup; readonly trial: Trial }[]> {
    const ranked: { group: WeightGroup; trial: Trial }[] = [];
    for (const group of groups.filter((group) => !contains(state, group))) {
      if (this.isSpent()) break;
      const weights = [...state.weights, ...group.weights];
      ranked.push({ group, trial: await this.attempt('one alone', [...state.reverted, group.name], weights) });
    }
    return ranked.sort((a, b) => a.trial.divergence - b.trial.divergence);
  }

  /** Compresses components of what was left alone again while the limit holds. */
  private async giveBack(start: Trial): Promise<void> {
    let state = start;
    const parts = this.options.components
      .map(({ name, weights }) => ({ name, weights: weights.filter((weight) => start.weights.includes(weight)) }))
      .filter(({ weights }) => weights.length > 0 && weights.length < start.weights.length);
    for (const { name, weights } of parts) {
      if (this.isSpent()) return;
      const kept = state.weights.filter((weight) => !weights.includes(weight));
      const next = await this.attempt('given back', [...state.reverted, `except ${name}`], kept);
      if (next.holds) state = next;
    }
  }

  private async attempt(
    step: Trial['step'],
    reverted: readonly string[],
    weights: readonly string[] = [],
  ): Promise<Trial> {
    const distinct = [...new Set(weights)].sort();
    const key = distinct.join('\n');
    const known = this.known.get(key);
    if (known) return known;
    const outcome = await this.options.evaluate(distinct);
    const trial = {
      ...outcome,
      step,
      reverted,
      weights: distinct,
      holds: outcome.drop <= this.options.limit + ROUNDING,
    };
    this.known.set(key, trial);
    this.trials.push(trial);
    return trial;
  }

  private isSpent(): boolean {
    return this.options.isSpent(this.trials.length);
  }

  private best(): Trial {
    const holding = this.trials.filter(({ holds }) => holds);
    return holding.length > 0
      ? holding.reduce(smaller)
      : this.trials.reduce((best, trial) => (isBetter(trial, best) ? trial : best));
  }
}

const contains = ({ weights }: Trial, group: WeightGroup): boolean =>
  group.weights.every((weight) => weights.includes(weight));

const smaller = (a: Trial, b: Trial): Trial => (b.bytes < a.bytes ? b : a);

/** A smaller drop, or the same with answers nearer to the original's. */
const isBetter = (a: Trial, b: Trial): boolean => a.drop < b.drop || (a.drop === b.drop && a.divergence < b.divergence);
