/** @file Runs a graph node by node on TensorFlow.js. */
import { invalid, ModelpressError, unsupported } from '../../errors';
import type { Model, Node, Value } from '../../graph';
import type { Executable, HostTensor } from '../runtime';
import type { Call, TfjsOp } from './call';
import { fromTf, toTf } from './convert';
import type { Tf, TfLibrary, TfTensor } from './library';
import { TFJS_OPS } from './ops';

/** A node, what computes it, and the values that nothing reads after it. */
interface Step {
  readonly node: Node;
  readonly op: TfjsOp;
  readonly dead: readonly Value[];
}

export class TfjsExecutable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  private readonly constants: ReadonlyMap<Value, TfTensor>;
  private readonly steps: readonly Step[];
  private readonly tf: Tf;

  /** @throws ModelpressError `runtime.unsupported-op` that names the node */
  constructor(
    private readonly library: TfLibrary,
    private readonly model: Model,
  ) {
    const { graph } = model;
    const { tf } = library;
    this.tf = tf;
    this.inputs = graph.inputs.map(({ name }) => name);
    this.outputs = graph.outputs.map(({ name }) => name);
    this.steps = plan(model);
    this.constants = new Map(graph.initializers.map((value) => [value, tf.keep(toTf(tf, value.constant!))]));
  }

  async run(
    feeds: Readonly<Record<string, HostTensor>>,
    into: Readonly<Record<string, HostTensor>> = {},
  ): Promise<Record<string, HostTensor>> {
    const live = new Map<Value, TfTensor>();
    await this.tf.setBackend(this.library.backend);
    try {
      for (const value of this.model.graph.inputs) live.set(value, this.upload(value, feeds));
      for (const step of this.steps) this.execute(step, live);
      const results: Record<string, HostTensor> = {};
      for (const value of this.model.graph.outputs) {
        results[value.name] = await fromTf(this.get(value, live), dtypeOf(value), into[value.name]);
      }
      return results;
    } finally {
      for (const tensor of live.values()) tensor.dispose();
    }
  }

  async release(): Promise<void> {
    for (const tensor of this.constants.values()) tensor.dispose();
  }

  private upload(value: Value, feeds: Readonly<Record<string, HostTensor>>): TfTensor {
    const { name, dtype, shape } = value;
    const feed = feeds[name];
    if (!feed) throw invalid('runtime.input', `The input "${name}" is missing.`, { field: name });
    const fits =
      feed.dtype === dtype &&
      (!shape ||
        (shape.length === feed.dims.length &&
          shape.every((dim, i) => typeof dim === 'string' || dim === feed.dims[i])));
    if (fits) return toTf(this.tf, feed);
    const given = `${feed.dtype}[${feed.dims.join(',')}]`;
    throw invalid('runtime.input', `The input "${name}" must be ${value}, but ${given} was given.`, { field: name });
  }

  private execute({ node, op, dead }: Step, live: Map<Value, TfTensor>): void {
    const outputs = this.tf.tidy(() => {
      const results = compute(op, this.call(node, live));
      // An op may return its input as it is; each value needs a tensor of its own to be disposed on its own.
      return node.outputs.map((_, i) => results[i].clone());
    });
    node.outputs.forEach((value, i) => live.set(value, outputs[i]));
    for (const value of dead) {
      live.get(value)?.dispose();
      live.delete(value);
    }
  }

  private call(node: Node, live: ReadonlyMap<Value, TfTensor>): Call {
    const x = (index: number): TfTensor => this.get(node.input(index), live);
    return {
      tf: this.tf,
      node,
      opset: this.model.opset,
      x,
      optional: (index) => (node.inputs[index] ? x(index) : undefined),
      numbers: (index) => node.input(index).constant?.toNumbers() ?? Array.from(x(index).dataSync()),
    };
  }

  private get(value: Value, live: ReadonlyMap<Value, TfTensor>): TfTensor {
    const tensor = live.get(value) ?? this.constants.get(value);
    if (tensor) return tensor;
    throw invalid('runtime.input', `Nothing computes "${value.name}".`);
  }
}

/** Runs the op of a node; what TensorFlow.js throws becomes an error that names the node. */
function compute(op: TfjsOp, call: Call): readonly TfTensor[] {
  const { node } = call;
  try {
    const results = op(call);
    return 'length' in results ? results : [results];
  } catch (cause) {
    if (cause instanceof ModelpressError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `TensorFlow.js failed at ${node}: ${reason}`;
    throw new ModelpressError('internal', 'runtime.failed', message, node.location, { cause });
  }
}

function plan({ graph }: Model): Step[] {
  const lastReader = new Map<Value, Node>();
  for (const node of graph.nodes) for (const value of node.reads) lastReader.set(value, node);
  const dies = (node: Node, value: Value): boolean =>
    !value.constant && !graph.outputs.includes(value) && (lastReader.get(value) ?? value.producer) === node;
  return graph.nodes.map((node) => ({
    node,
    op: opOf(node),
    dead: [...new Set([...node.reads, ...node.outputs])].filter((value) => dies(node, value)),
  }));
}

function opOf(node: Node): TfjsOp {
  const op = Object.hasOwn(TFJS_OPS, node.opType) ? TFJS_OPS[node.opType as keyof typeof TFJS_OPS] : undefined;
  if (typeof op === 'function') return op;
  const reason = op?.unsupported ?? 'the op is unknown';
  throw unsupported('runtime.unsupported-op', `TensorFlow.js cannot run ${node}: ${reason}.`, node.location);
}

function dtypeOf(value: Value): HostTensor['dtype'] {
  if (value.dtype) return value.dtype;
  throw invalid('runtime.untyped', `The element type of output "${value.name}" is unknown; infer shapes first.`);
}
