/** @file One compiled training graph: forward, loss and backward of a batch of one shape. */
import type { GraphBuilder } from '../graph/builder';
import { buildTrainingGraph } from '../autodiff';
import type { GateOptions, TrainingGraph } from '../autodiff';
import { sizeOf } from '../graph';
import { costOf } from '../graph/cost';
import type { Model, Value } from '../graph';
import { unrollLstm } from '../models/unroll-lstm';
import { promoteToInputs, specialise } from '../passes';
import type { CompileOptions, Executable, HostTensor, Runtime } from '../runtime/runtime';
import { DropoutMasks } from './dropout-masks';
import type { DropoutSite } from './dropout-masks';
import { KernelWork } from './kernels/work';
import type { KernelRunner } from './kernels/work';
import { recomputeActivations } from './recompute';
import type { ParameterSlabs, ParameterSlot } from './slabs';

/** Named tensors of static shape that feed the model and its loss. */
export type BatchInputs = Readonly<Record<string, HostTensor>>;

export interface ProgramOptions {
  /** Appends the loss to the graph, from the model's outputs by name; see `buildTrainingGraph`. */
  readonly loss: (build: GraphBuilder, outputs: ReadonlyMap<string, Value>) => Value;
  /** Adds dropout to a model of static shapes and says which masks it reads; default: none. */
  readonly dropout?: (model: Model) => readonly DropoutSite[];
  /** Compute activations again in the backward pass instead of keeping them: slower, but far less memory. */
  readonly recompute?: boolean;
  /** Values to hand to `afterBackward` together with their gradients. */
  readonly activations?: readonly string[];
  /** Gate vectors of ones, whose gradients are handed to `afterBackward`. */
  readonly gates?: readonly GateOptions[];
}

/** What `afterBackward` sees of one micro-batch. */
export interface BackwardResult {
  readonly loss: number;
  /** By activation name. */
  readonly activations: ReadonlyMap<string, { readonly value: HostTensor; readonly gradient: HostTensor }>;
  /** Gradient by gated value. */
  readonly gates: ReadonlyMap<string, HostTensor>;
}

/** Row gradients of one embedding table, to be added at `ids`. */
interface TableRows {
  readonly slot: ParameterSlot;
  readonly ids: ArrayLike<number | bigint>;
  readonly rows: Float32Array;
}

export class TrainingProgram {
  /** Trainable parameters that the loss depends on. */
  readonly slots: readonly ParameterSlot[];
  /** Tables whose gradients come as rows. */
  readonly tables: readonly ParameterSlot[];
  private readonly feeds: Record<string, HostTensor>;
  /** Output tensors, preallocated: for a first and for a further micro-batch of a step. */
  private readonly intoGradients: Record<string, HostTensor>;
  private readonly intoLandings: Record<string, HostTensor>;

  private constructor(
    private readonly executable: Executable,
    private readonly graph: TrainingGraph,
    /** Floating-point operations of one run; a multiply-add counts as 2. */
    readonly flops: number,
    /** Memory of activations that stays reserved between runs. */
    readonly heldBytes: number,
    private readonly masks: DropoutMasks,
    private readonly runner: KernelRunner,
    slabs: ParameterSlabs,
    frozen: Readonly<Record<string, HostTensor>>,
  ) {
    const { gradients } = graph;
    this.slots = slabs.slots.filter(({ name }) => gradients.has(name));
    this.tables = this.slots.filter(({ name }) => gradients.get(name)?.kind === 'rows');
    this.feeds = { ...masks.feeds, ...gatesOfOnes(graph), ...frozen, ...slabs.feeds };
    const buffers = this.outputBuffers();
    this.intoGradients = { ...buffers, ...this.gradientTensors(({ gradient }) => gradient) };
    this.intoLandings = { ...buffers, ...this.gradientTensors(({ landing }) => landing) };
  }

  /**
   * Specialises, differentiates and compiles.
   * @param shapes of the batch's tensors, by input name
   * @param frozen large weights that are not trained: fed, because a session would copy them
   * @param maxHeldBytes how much memory may stay reserved for activations between runs
   */
  static async compile(
    model: Model,
    shapes: ReadonlyMap<string, readonly number[]>,
    slabs: ParameterSlabs,
    frozen: Readonly<Record<string, HostTensor>>,
    maxHeldBytes: number,
    options: ProgramOptions & {
      readonly runtime: Runtime;
      readonly compile: CompileOptions;
      readonly runner: KernelRunner;
      readonly seed: number;
    },
  ): Promise<TrainingProgram> {
    const inputs = new Set(model.graph.inputs.map(({ name }) => name));
    const special = specialise(model, Object.fromEntries([...shapes].filter(([name]) => inputs.has(name))));
    unrollLstm(special);
    const sites = options.dropout?.(special) ?? [];
    promoteToInputs(special, Object.keys(frozen));
    const graph = buildTrainingGraph(special, {
      parameters: slabs.slots.map(({ name }) => name),
      loss: options.loss,
      outputs: [],
      activations: options.activations ?? [],
      gates: options.gates ?? [],
    });
    if (options.recompute) recomputeActivations(graph.model, graph.loss);
    const { flops, peakActivationBytes } = costOf(graph.model);
    const keepMemory = peakActivationBytes <= maxHeldBytes;
    const executable = await options.runtime.compile(graph.model, { keepMemory, ...options.compile });
    const { runner } = options;
    const masks = new DropoutMasks(sites, options.seed, runner);
    const heldBytes = keepMemory ? peakActivationBytes : 0;
    return new TrainingProgram(executable, graph, flops, heldBytes, masks, runner, slabs, frozen);
  }

  /**
   * One forward and backward pass. Gradients overwrite the gradient slab for the first micro-batch of a step and are
   * added to it for further ones; the rows of tables are returned.
   */
  async run(
    inputs: BatchInputs,
    step: number,
    microBatch: number,
  ): Promise<BackwardResult & { readonly rows: readonly TableRows[] }> {
    await this.masks.fill(step, microBatch);
    const into = microBatch === 0 ? this.intoGradients : this.intoLandings;
    const outputs = await this.executable.run({ ...this.feeds, ...inputs }, into);
    if (microBatch > 0) await this.accumulate();
    const { graph } = this;
    return {
      loss: Number(outputs[graph.loss].data[0]),
      activations: mapValues(graph.activations, ({ value, gradient }) => {
        return { value: outputs[value], gradient: outputs[gradient] };
      }),
      gates: mapValues(graph.gates, ({ gradient }) => outputs[gradient]),
      rows: this.tables.map((slot) => {
        const gradient = graph.gradients.get(slot.name);
        if (gradient?.kind !== 'rows') throw new Error(`${slot.name} is no table`);
        const ids = inputs[gradient.ids] ?? outputs[gradient.ids];
        return { slot, ids: ids.data, rows: outputs[gradient.rows].data as Float32Array };
      }),
    };
  }

  release(): Promise<void> {
    return this.executable.release();
  }

  private async accumulate(): Promise<void> {
    const work = new KernelWork();
    for (const { name, memory, at, size } of this.slots) {
      if (this.graph.gradients.get(name)?.kind !== 'dense') continue;
      work.addInBlocks(memory, size, (start, count) => {
        return { kernel: 'accumulate', target: at.gradient + start * 4, source: at.landing + start * 4, count };
      });
    }
    await work.run(this.runner);
  }

  private gradientTensors(array: (slot: ParameterSlot) => Float32Array): Record<string, HostTensor> {
    return Object.fromEntries(
      this.slots.flatMap((slot) => {
        const gradient = this.graph.gradients.get(slot.name);
        if (gradient?.kind !== 'dense') return [];
        return [[gradient.output, { dtype: 'float32', dims: slot.dims, data: array(slot) } as const]];
      }),
    );
  }

  /** Memory for the outputs that are read right after a run: the loss and the rows of tables. */
  private outputBuffers(): Record<string, HostTensor> {
    const { graph } = this.graph.model;
    const names = [
      this.graph.loss,
      ...[...this.graph.gradients.values()].flatMap((g) => (g.kind === 'rows' ? g.rows : [])),
    ];
    return Object.fromEntries(
      names.map((name) => {
        const dims = (graph.value(name).shape ?? []).map(Number);
        return [name, { dtype: 'float32', dims, data: new Float32Array(sizeOf(dims)) } as const];
      }),
    );
  }
}

const mapValues = <V, W>(map: ReadonlyMap<string, V>, f: (value: V) => W): ReadonlyMap<string, W> =>
  new Map([...map].map(([key, value]) => [key, f(value)]));

function gatesOfOnes({ gates, model }: TrainingGraph): Record<string, HostTensor> {
  return Object.fromEntries(
    [...gates.values()].map(({ input }) => {
      const dims = (model.graph.value(input).shape ?? []).map(Number);
      return [input, { dtype: 'float32', dims, data: new Float32Array(sizeOf(dims)).fill(1) } as const];
    }),
  );
}
