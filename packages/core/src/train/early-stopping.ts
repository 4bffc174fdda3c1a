/** @file Keeping the best evaluation and stopping when nothing gets better. */

export interface EarlyStoppingOptions {
  /** Whether a larger score is better (accuracy) or a smaller one (loss). */
  readonly mode: 'max' | 'min';
  /** Evaluations without improvement after which training stops; undefined: never. */
  readonly patience?: number | undefined;
  /** Smallest change that counts as an improvement; default 0. */
  readonly minDelta?: number;
}

/** The state of an `EarlyStopping`; plain JSON. */
export interface EarlyStoppingState {
  readonly best: number | null;
  readonly bestStep: number;
  readonly evaluationsSinceBest: number;
}

export class EarlyStopping {
  private state: EarlyStoppingState;

  constructor(
    private readonly options: EarlyStoppingOptions,
    saved?: EarlyStoppingState,
  ) {
    this.state = saved ?? { best: null, bestStep: 0, evaluationsSinceBest: 0 };
  }

  /** Best score so far; null before the first evaluation. */
  get best(): number | null {
    return this.state.best;
  }

  get bestStep(): number {
    return this.state.bestStep;
  }

  /** Whether patience has run out. */
  get exhausted(): boolean {
    return this.options.patience !== undefined && this.state.evaluationsSinceBest >= this.options.patience;
  }

  save(): EarlyStoppingState {
    return this.state;
  }

  /** Records an evaluation and tells whether it is the best so far. A NaN never is. */
  record(score: number, step: number): boolean {
    const { best } = this.state;
    const { mode, minDelta = 0 } = this.options;
    const gain = best === null ? Infinity : mode === 'max' ? score - best : best - score;
    const improved = !Number.isNaN(score) && gain > minDelta;
    this.state = improved
      ? { best: score, bestStep: step, evaluationsSinceBest: 0 }
      : { ...this.state, evaluationsSinceBest: this.state.evaluationsSinceBest + 1 };
    return improved;
  }
}
