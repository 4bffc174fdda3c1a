/** @file How long a run lasts, in the unit of its budget. */

/** Passes over the data, optimizer steps, seconds of training (evaluations and checkpoints not counted), or operations. */
export type TrainingLength =
  | { readonly epochs: number }
  | { readonly steps: number }
  | { readonly seconds: number }
  | { readonly flops: number };

/** What a run has used so far. */
export interface Spent {
  readonly steps: number;
  readonly seconds: number;
  /** Floating-point operations of forward and backward passes; a multiply-add counts as 2. */
  readonly flops: number;
}

/** Stands for the steps of a run whose pace is not known yet. */
const MANY_STEPS = 2 ** 40;

export class Budget {
  private readonly unit: keyof Spent;
  private readonly total: number;

  constructor(
    private readonly length: TrainingLength,
    stepsPerEpoch: number,
  ) {
    if ('epochs' in length) [this.unit, this.total] = ['steps', length.epochs * stepsPerEpoch];
    else if ('steps' in length) [this.unit, this.total] = ['steps', length.steps];
    else if ('seconds' in length) [this.unit, this.total] = ['seconds', length.seconds];
    else [this.unit, this.total] = ['flops', length.flops];
  }

  /** Share of the budget that is used, 0..1. */
  share(spent: Spent): number {
    return Math.min(1, spent[this.unit] / this.total);
  }

  /** Steps of the whole run: known for epochs and steps, else told from the pace so far. */
  expectedSteps(spent: Spent): number {
    if (this.unit === 'steps') return this.total;
    const share = this.share(spent);
    return share === 0 ? MANY_STEPS : spent.steps / share;
  }

  /** Where the run stands, in words. */
  phase(spent: Spent, epoch: number): string {
    const { length, total } = this;
    if ('epochs' in length) return `epoch ${epoch + 1}/${length.epochs}`;
    if (this.unit === 'steps') return `step ${spent.steps}/${total}`;
    if (this.unit === 'seconds') return `${Math.round(spent.seconds)} s of ${total} s`;
    return `${spent.flops.toPrecision(3)} of ${total.toPrecision(3)} FLOPs`;
  }
}
