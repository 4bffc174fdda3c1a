/** @file AdamW over parameter slabs. */
import { z } from 'zod';
import { adamwAddresses } from './kernels/kernels';
import type { AdamwScalars } from './kernels/kernels';
import { KernelWork, onThisThread } from './kernels/work';
import type { KernelRunner } from './kernels/work';
import { RowGradients } from './rows';
import type { ParameterSlot, ParameterSpec } from './slabs';

export const optimizerSchema = z.strictObject({
  learningRate: z.number().positive().describe('Peak learning rate.'),
  beta1: z.number().min(0).lt(1).default(0.9).describe('Decay of the first moment.'),
  beta2: z.number().min(0).lt(1).default(0.999).describe('Decay of the second moment.'),
  epsilon: z.number().positive().default(1e-8).describe('Added to the root of the second moment.'),
  weightDecay: z.number().min(0).default(0.01).describe('Decoupled weight decay; biases and norms are left out.'),
  clipNorm: z.number().positive().nullable().default(1).describe('Largest global gradient norm; null: no clipping.'),
  embeddings: z
    .enum(['dense', 'lazy'])
    .default('dense')
    .describe(
      'dense: every embedding row decays and its moments move at each step, as in PyTorch. ' +
        'lazy: only the rows in the batch do.',
    ),
});
export type OptimizerConfig = z.infer<typeof optimizerSchema>;

/** Weight decay of a parameter; the default leaves out biases, norms and everything else of fewer than 2 dimensions. */
export type DecayRule = (spec: ParameterSpec, weightDecay: number) => number;
export const decayMatrices: DecayRule = ({ dims }, weightDecay) => (dims.length < 2 ? 0 : weightDecay);

/**
 * The scalars of step `step` (counted from 1). PyTorch divides m by 1 - b1^t and v by 1 - b2^t; multiplying numerator
 * and denominator by sqrt(1 - b2^t) moves both corrections into the step size and epsilon.
 */
export function adamwScalars(
  config: OptimizerConfig,
  step: number,
  learningRate: number,
  decay: number,
  scale: number,
): AdamwScalars {
  const root = Math.sqrt(1 - config.beta2 ** step);
  return {
    scale,
    keep: 1 - learningRate * decay,
    oneMinusBeta1: 1 - config.beta1,
    beta2: config.beta2,
    oneMinusBeta2: 1 - config.beta2,
    stepSize: (learningRate * root) / (1 - config.beta1 ** step),
    epsilon: config.epsilon * root,
  };
}

export class AdamW {
  private readonly tables = new Map<ParameterSlot, RowGradients>();

  constructor(
    private readonly config: OptimizerConfig,
    private readonly decayRule: DecayRule = decayMatrices,
    private readonly learningRateFactor: (name: string) => number = () => 1,
    private readonly runner: KernelRunner = onThisThread,
  ) {}

  /** Announces that the gradient of a parameter, an embedding table, comes as rows. */
  expectRows(slot: ParameterSlot): void {
    if (!this.tables.has(slot)) this.tables.set(slot, new RowGradients(slot));
  }

  /** gradient[ids[r], :] += rows[r, :] of a table announced before. */
  addRows(slot: ParameterSlot, ids: ArrayLike<number | bigint>, rows: Float32Array): void {
    this.tables.get(slot)?.add(ids, rows);
  }

  /** L2 norm of the gradients of these parameters together; not finite when one element is not. */
  async gradientNorm(slots: Iterable<ParameterSlot>): Promise<number> {
    const work = new KernelWork();
    for (const slot of slots) {
      const table = this.tables.get(slot);
      if (table) table.sumSquares(work);
      else {
        work.addInBlocks(slot.memory, slot.size, (start, count) => {
          return { kernel: 'sumSquares', source: slot.at.gradient + start * 4, count };
        });
      }
    }
    return Math.sqrt(await work.run(this.runner));
  }

  /** Factor that brings gradients of this norm to `clipNorm`; as PyTorch's clip_grad_norm_, epsilon included. */
  clipFactor(norm: number): number {
    return this.config.clipNorm === null ? 1 : Math.min(1, this.config.clipNorm / (norm + 1e-6));
  }

  /** One step (counted from 1) of these parameters. `scale` multiplies the gradients on the way in. */
  async update(slots: Iterable<ParameterSlot>, step: number, learningRate: number, scale: number): Promise<void> {
    const work = new KernelWork();
    for (const slot of slots) {
      const decay = this.decayRule(slot, this.config.weightDecay);
      const scalars = adamwScalars(this.config, step, learningRate * this.learningRateFactor(slot.name), decay, scale);
      const table = this.tables.get(slot);
      if (table && this.config.embeddings === 'lazy') table.updateTouched(work, scalars);
      else if (table) table.updateAll(work, scalars);
      else {
        work.addInBlocks(slot.memory, slot.size, (start, count) => {
          return { kernel: 'adamw', at: adamwAddresses(slot.at, start), count, scalars };
        });
      }
    }
    await work.run(this.runner);
  }

  /** Forgets the row gradients collected for the last step; dense gradients are overwritten by the next one. */
  clearRows(): void {
    for (const table of this.tables.values()) table.clear();
  }

  /** To be called after moments were written from outside. */
  reloaded(): void {
    for (const table of this.tables.values()) table.findUsed();
  }
}
