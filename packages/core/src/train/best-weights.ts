/** @file The weights of the best evaluation so far, on disk or in memory. */
import { readCheckpoint, writeCheckpoint } from './checkpoint';
import type { CheckpointArrays } from './checkpoint';
import type { ParameterSlabs } from './slabs';

export class BestWeights {
  private copies: Map<string, Float32Array> | undefined;

  /** @param path a file, or undefined to keep a copy in memory */
  constructor(
    private readonly slabs: ParameterSlabs,
    private readonly path?: string,
  ) {}

  async keep(): Promise<void> {
    if (this.path !== undefined) await writeCheckpoint(this.path, null, this.weights());
    else this.copies = new Map(this.slabs.slots.map(({ name, weight }) => [name, weight.slice()]));
  }

  /** Puts the kept weights back. */
  async restore(): Promise<void> {
    if (this.path !== undefined) await readCheckpoint(this.path, () => this.weights());
    else for (const [name, copy] of this.copies ?? []) this.slabs.slot(name).weight.set(copy);
  }

  private weights(): CheckpointArrays {
    return new Map(this.slabs.slots.map(({ name, weight }) => [name, weight]));
  }
}
