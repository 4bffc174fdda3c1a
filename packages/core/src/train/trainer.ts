/** @file Trains the parameters of a model: one call, one optimizer step. */
import { availableParallelism } from 'node:os';
import { ModelpressError, invalid } from '../errors';
import { Tensor, clone } from '../graph';
import type { Model } from '../graph';
import { parameterNames, promoteToInputs } from '../passes';
import { ortRuntime } from '../runtime/ort';
import type { CompileOptions, Executable, HostTensor, Runtime } from '../runtime/runtime';
import { readCheckpoint, writeCheckpoint } from './checkpoint';
import type { CheckpointArrays } from './checkpoint';
import { KernelWork, inBackground, onThisThread } from './kernels/work';
import type { KernelRunner } from './kernels/work';
import { AdamW } from './optimizer';
import type { DecayRule, OptimizerConfig } from './optimizer';
import { frozenWeights, moveIntoSlabs } from './initial-weights';
import { TrainingProgram } from './program';
import { ProgramCache } from './program-cache';
import type { BatchShapes } from './program-cache';
import type { BackwardResult, BatchInputs, ProgramOptions } from './program';
import type { ParameterSlabs, ParameterSlot } from './slabs';

/** Inputs of one forward and backward pass, the loss's own (labels) included. */
export interface TrainingBatch {
  readonly inputs: BatchInputs;
}

/** Called while a step runs; each may read and change what the parameter slots hold. */
export interface TrainerHooks {
  /** After each micro-batch. */
  afterBackward?(result: BackwardResult): void;
  /** Gradients are summed over micro-batches; the optimizer will multiply them by `scale` (mean and clipping). */
  afterGradients?(step: number, scale: number): void;
  /** Weights are updated and masked. */
  afterUpdate?(step: number): void;
  /** What the hooks remember between steps, by name: checkpoints store it and restore it in place. */
  readonly memory?: ReadonlyMap<string, Float32Array | Uint8Array>;
}

export interface TrainerOptions extends ProgramOptions {
  /** With dynamic or static axes; not changed. */
  readonly model: Model;
  /** Initializers to train; default: all float weights. Others stay as they are. */
  readonly parameters?: readonly string[];
  readonly optimizer: OptimizerConfig;
  readonly decay?: DecayRule;
  /** Factor on the learning rate by parameter name; default 1. */
  readonly learningRateFactor?: (name: string) => number;
  /** Keep a moving average of the weights, average <- d average + (1 - d) weight after each step; see `withAverage`. */
  readonly averageDecay?: number;
  /** Seed of the dropout masks. */
  readonly seed: number;
  readonly runtime?: Runtime;
  readonly compile?: CompileOptions;
  readonly hooks?: TrainerHooks;
}

export interface StepResult {
  /** Counted from 1. */
  readonly step: number;
  /** Mean over the micro-batches. */
  readonly loss: number;
  /** L2 norm of the mean gradient, before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Floating-point operations of the passes; a multiply-add counts as 2. */
  readonly flops: number;
}

/** What a checkpoint's state holds. */
interface TrainerState {
  readonly step: number;
  readonly seed: number;
  readonly masked: readonly string[];
  readonly position: unknown;
}

/**
 * Holds the weights of a model in memory and improves them. Results are bit-for-bit repeatable for equal options,
 * batches, thread count and machine. `train` and `forward` block the thread in the `ort` runtime: use a child process. In
 * the `native` runtime both passes and the loops over parameters run in the background; leave the slots alone meanwhile.
 */
export class Trainer {
  readonly slabs: ParameterSlabs;
  private readonly options: Omit<TrainerOptions, 'model'>;
  private readonly model: Model;
  private readonly runtime: Runtime;
  private readonly runner: KernelRunner;
  private readonly optimizer: AdamW;
  private readonly frozen: Readonly<Record<string, HostTensor>>;
  private readonly programs: ProgramCache;
  private readonly masked = new Set<string>();
  private forwardPass: Promise<Executable> | undefined;
  private stepsDone = 0;

  /** @throws ModelpressError `train.*`, `graph.*` */
  constructor({ model, ...options }: TrainerOptions) {
    this.options = options;
    this.runtime = options.runtime ?? ortRuntime;
    this.model = clone(model);
    this.slabs = moveIntoSlabs(this.model, options.parameters ?? parameterNames(model));
    this.frozen = frozenWeights(this.model, this.slabs);
    const threads = options.compile?.threads ?? availableParallelism();
    this.runner = this.runtime.name === 'native' ? inBackground(threads) : onThisThread;
    this.optimizer = new AdamW(options.optimizer, options.decay, options.learningRateFactor, this.runner);
    if (this.averages) for (const { average, weight } of this.slabs.slots) average.set(weight);
    this.programs = new ProgramCache((shapes, maxHeldBytes) => this.compileProgram(shapes, maxHeldBytes));
  }

  /** Steps done so far. */
  get step(): number {
    return this.stepsDone;
  }

  /** A parameter's arrays; changes to `weight` take effect in the next pass. */
  parameter(name: string): ParameterSlot {
    return this.slabs.slot(name);
  }

  /**
   * Forward and backward over each micro-batch, then one update with their mean gradient.
   * @throws ModelpressError `train.not-finite` before anything is updated, when the loss or a gradient is not finite
   */
  async train(
    microBatches: readonly TrainingBatch[],
    learningRate: number = this.options.optimizer.learningRate,
  ): Promise<StepResult> {
    if (microBatches.length === 0) throw invalid('train.no-data', 'A training step needs at least one batch.');
    const step = this.stepsDone + 1;
    const { hooks } = this.options;
    const slots = new Set<ParameterSlot>();
    let lossSum = 0;
    let flops = 0;
    try {
      for (const [i, { inputs }] of microBatches.entries()) {
        const program = await this.programs.get(inputs);
        const result = await program.run(inputs, step, i);
        requireFinite(result.loss, 'loss', step);
        lossSum += result.loss;
        flops += program.flops;
        for (const slot of program.slots) slots.add(slot);
        for (const { slot, ids, rows } of result.rows) this.optimizer.addRows(slot, ids, rows);
        hooks?.afterBackward?.(result);
      }
      const gradientNorm = (await this.optimizer.gradientNorm(slots)) / microBatches.length;
      requireFinite(gradientNorm, 'gradient', step);
      const scale = this.optimizer.clipFactor(gradientNorm) / microBatches.length;
      hooks?.afterGradients?.(step, scale);
      await this.optimizer.update(slots, step, learningRate, scale);
      await this.applyMasks();
      await this.updateAverage();
      this.stepsDone = step;
      hooks?.afterUpdate?.(step);
      return { step, loss: lossSum / microBatches.length, gradientNorm, learningRate, flops };
    } finally {
      this.optimizer.clearRows();
    }
  }

  /**
   * The model's outputs for inputs of any shape that it takes, with the present weights and without dropout; in fp32,
   * as the model will be served.
   */
  async forward(inputs: BatchInputs): Promise<Record<string, HostTensor>> {
    this.forwardPass ??= this.compileForward();
    return (await this.forwardPass).run({ ...this.frozen, ...this.slabs.feeds, ...inputs });
  }

  /**
   * Keeps the elements with mask 0 at zero from now on; null lifts the mask.
   * @param mask one byte an element, 1 = kept
   */
  setMask(name: string, mask: Uint8Array | null): void {
    if (mask === null) {
      this.masked.delete(name);
      return;
    }
    const slot = this.slabs.slot(name);
    slot.mask.set(mask);
    this.masked.add(name);
    slot.memory.kernels.mask(slot.at.weight, slot.at.mask, slot.size);
  }

  /** The mask of a parameter that has one. */
  mask(name: string): Uint8Array | undefined {
    return this.masked.has(name) ? this.slabs.slot(name).mask : undefined;
  }

  /** Runs `body` while the averaged weights stand in for the present ones; just runs it when there is no average. */
  async withAverage<T>(body: () => Promise<T>): Promise<T> {
    this.swapAverage();
    try {
      return await body();
    } finally {
      this.swapAverage();
    }
  }

  /** Goes on with the averaged weights, where there is an average. */
  adoptAverage(): void {
    if (this.averages) for (const { average, weight } of this.slabs.slots) weight.set(average);
  }

  /** Writes weights, moments, masks, step and `position` (any JSON) so that `load` continues the same loss curve. */
  async save(path: string, position: unknown): Promise<void> {
    const state: TrainerState = {
      step: this.stepsDone,
      seed: this.options.seed,
      masked: [...this.masked],
      position,
    };
    await writeCheckpoint(path, state, this.arrays(this.masked));
  }

  /**
   * Restores what `save` wrote; returns its `position`.
   * @throws ModelpressError `checkpoint.*`; the trainer is then unusable until another load succeeds
   */
  async load(path: string): Promise<unknown> {
    const state = (await readCheckpoint(path, (read) => {
      const { seed, masked } = read as TrainerState;
      if (seed !== this.options.seed) {
        throw invalid('checkpoint.mismatch', `The checkpoint is of seed ${seed}, this run of ${this.options.seed}.`);
      }
      return this.arrays(new Set(masked));
    })) as TrainerState;
    this.stepsDone = state.step;
    this.masked.clear();
    for (const name of state.masked) this.masked.add(name);
    this.optimizer.reloaded();
    return state.position;
  }

  /** A copy of the model with the present weights. */
  exportModel(): Model {
    const model = clone(this.model);
    for (const { name, dims, weight } of this.slabs.slots) {
      model.graph.value(name).constant = Tensor.float32(dims, weight.slice());
    }
    return model;
  }

  async release(): Promise<void> {
    await this.programs.release();
    await (await this.forwardPass)?.release();
    this.forwardPass = undefined;
  }

  private async compileProgram(shapes: BatchShapes, maxHeldBytes: number): Promise<TrainingProgram> {
    const { runtime, runner, options } = this;
    const program = await TrainingProgram.compile(this.model, shapes, this.slabs, this.frozen, maxHeldBytes, {
      ...options,
      runtime,
      runner,
      compile: options.compile ?? {},
    });
    for (const slot of program.tables) this.optimizer.expectRows(slot);
    return program;
  }

  private compileForward(): Promise<Executable> {
    const model = clone(this.model);
    promoteToInputs(model, Object.keys({ ...this.slabs.feeds, ...this.frozen }));
    return this.runtime.compile(model, { ...this.options.compile, precision: 'fp32' });
  }

  private async applyMasks(): Promise<void> {
    const work = new KernelWork();
    for (const name of this.masked) {
      const { memory, at, size } = this.slabs.slot(name);
      work.addInBlocks(memory, size, (start, count) => {
        return { kernel: 'mask', target: at.weight + start * 4, masks: at.mask + start, count };
      });
    }
    await work.run(this.runner);
  }

  private get averages(): boolean {
    return this.options.averageDecay !== undefined;
  }

  private async updateAverage(): Promise<void> {
    const { averageDecay } = this.options;
    if (averageDecay === undefined) return;
    const work = new KernelWork();
    for (const { memory, at, size } of this.slabs.slots) {
      work.addInBlocks(memory, size, (start, count) => {
        const [average, source] = [at.average + start * 4, at.weight + start * 4];
        return { kernel: 'ema', average, source, count, rate: 1 - averageDecay };
      });
    }
    await work.run(this.runner);
  }

  private swapAverage(): void {
    if (!this.averages) return;
    for (const { average, weight } of this.slabs.slots) {
      const present = weight.slice();
      weight.set(average);
      average.set(present);
    }
  }

  /** Everything that a checkpoint stores, by name. */
  private arrays(masked: ReadonlySet<string>): CheckpointArrays {
    const entries = this.slabs.slots.flatMap(({ name, weight, firstMoment, secondMoment, average }) => [
      [`weight/${name}`, weight] as const,
      [`firstMoment/${name}`, firstMoment] as const,
      [`secondMoment/${name}`, secondMoment] as const,
      ...(this.averages ? [[`average/${name}`, average] as const] : []),
    ]);
    const masks = [...masked].map((name) => [`mask/${name}`, this.slabs.slot(name).mask] as const);
    const remembered = [...(this.options.hooks?.memory ?? [])].map(
      ([name, array]) => [`hooks/${name}`, array] as const,
    );
    return new Map<string, Float32Array | Uint8Array>([...entries, ...masks, ...remembered]);
  }
}

function requireFinite(value: number, what: 'loss' | 'gradient', step: number): void {
  if (Number.isFinite(value)) return;
  throw new ModelpressError(
    'invalid',
    'train.not-finite',
    `The ${what} is not finite in step ${step}. A lower learning rate, a longer warm-up or gradient clipping may help.`,
    { step },
  );
}
