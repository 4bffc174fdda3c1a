/** @file Loss on held-out text of the weights being trained. */
import { GraphBuilder } from '../graph/builder';
import { promoteToInputs, removeDeadCode, specialise } from '../passes';
import type { CompileOptions, Executable, HostTensor, Runtime } from '../runtime/runtime';
import type { Batches } from '../text';
import type { CountedBatch, Objective } from './objective';

export interface HeldOutOptions {
  readonly objective: Objective;
  readonly text: Batches;
  /** Batches of an evaluation at most. */
  readonly batches: number;
  readonly runtime: Runtime;
  readonly compile: CompileOptions;
  readonly seed: number;
}

/** No training batch has this epoch. */
const HELD_OUT_EPOCH = 2 ** 32 - 1;

/** Computes the loss of the same batches, with the same tokens hidden, again and again. */
export class HeldOutLoss {
  readonly #options: HeldOutOptions;
  readonly #batches: readonly CountedBatch[];
  readonly #executables = new Map<string, Promise<Executable>>();

  /** @param weights of the objective's model by name, read anew in every evaluation */
  constructor(
    options: HeldOutOptions,
    private readonly weights: Readonly<Record<string, HostTensor>>,
  ) {
    const { objective, text, batches, seed } = options;
    const epoch = text.epoch(0);
    this.#options = options;
    this.#batches = Array.from({ length: Math.min(epoch.count, batches) }, (_, index) =>
      objective.batch(epoch.batch(index), text.source, [seed, HELD_OUT_EPOCH, index]),
    );
  }

  /** Predicted tokens of an evaluation. */
  get tokens(): number {
    return this.#batches.reduce((sum, { count }) => sum + count, 0);
  }

  /** Mean cross-entropy of the predicted tokens, in nats, without dropout. */
  async compute(): Promise<number> {
    let sum = 0;
    for (const { inputs, count } of this.#batches) {
      const executable = await this.#executableFor(inputs);
      const { loss } = await executable.run({ ...this.weights, ...inputs });
      sum += count * Number(loss.data[0]);
    }
    return sum / this.tokens;
  }

  async release(): Promise<void> {
    for (const executable of this.#executables.values()) await (await executable).release();
  }

  #executableFor(inputs: CountedBatch['inputs']): Promise<Executable> {
    const key = JSON.stringify(inputs.input_ids.dims);
    const found = this.#executables.get(key) ?? this.#compile(inputs);
    this.#executables.set(key, found);
    return found;
  }

  #compile(inputs: CountedBatch['inputs']): Promise<Executable> {
    const { objective, runtime, compile } = this.#options;
    const shapes = objective.model.graph.inputs.map(({ name }) => [name, inputs[name].dims]);
    const model = specialise(objective.model, Object.fromEntries(shapes));
    const { graph } = model;
    const build = new GraphBuilder(model);
    promoteToInputs(model, Object.keys(this.weights));
    const outputs = new Map(graph.outputs.map((value) => [value.name, value]));
    graph.outputs.splice(0);
    build.output(objective.loss(build, outputs), 'loss');
    removeDeadCode(model);
    return runtime.compile(model, compile);
  }
}
