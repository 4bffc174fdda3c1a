/** @file The programs of a trainer: one for each shape of batch that came by. */
import type { BatchInputs, TrainingProgram } from './program';

/** Shapes beyond so many are compiled again when they come back. */
const MAX_PROGRAMS = 16;
/** Activation memory that all programs together may keep between runs. */
const MAX_HELD_BYTES = 2 ** 31;

export type BatchShapes = ReadonlyMap<string, readonly number[]>;

export class ProgramCache {
  private readonly programs = new Map<string, TrainingProgram>();

  /** @param compile makes the program for a shape, which may keep so many bytes between runs */
  constructor(private readonly compile: (shapes: BatchShapes, maxHeldBytes: number) => Promise<TrainingProgram>) {}

  /** The program for a batch. The least recently used one is released when there are too many. */
  async get(inputs: BatchInputs): Promise<TrainingProgram> {
    const shapes = new Map(Object.entries(inputs).map(([name, { dims }]) => [name, dims]));
    const key = JSON.stringify([...shapes]);
    const program = this.programs.get(key) ?? (await this.compile(shapes, MAX_HELD_BYTES - this.heldBytes));
    this.programs.delete(key);
    this.programs.set(key, program); // last = most recently used
    const [oldest] = this.programs;
    if (this.programs.size > MAX_PROGRAMS) {
      this.programs.delete(oldest[0]);
      await oldest[1].release();
    }
    return program;
  }

  async release(): Promise<void> {
    for (const program of this.programs.values()) await program.release();
    this.programs.clear();
  }

  private get heldBytes(): number {
    return [...this.programs.values()].reduce((sum, program) => sum + program.heldBytes, 0);
  }
}
