/** @file One onnxruntime session behind the Executable interface. */
import * as ort from 'onnxruntime-node';
import { invalid } from '../../errors';
import { DTYPES, formatShape, sizeOf } from '../../graph';
import type { DType } from '../../graph';
import type { Executable, HostTensor } from '../runtime';
import { runError } from './errors';

type Metadata = ort.InferenceSession.ValueMetadata;

export class OrtExecutable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  private readonly types: ReadonlyMap<string, Metadata>;
  /** Tensors that were checked and wrapped before: a training step feeds the same parameters every time. */
  private readonly wrapped = new Map<string, WeakMap<HostTensor, ort.Tensor>>();
  private released = false;

  constructor(private readonly session: ort.InferenceSession) {
    this.inputs = session.inputNames;
    this.outputs = session.outputNames;
    this.types = new Map([...session.inputMetadata, ...session.outputMetadata].map((type) => [type.name, type]));
  }

  /**
   * onnxruntime-node writes preallocated outputs in place but also returns a copy of each, which is dropped here: the
   * tensors of `into` themselves are returned.
   */
  async run(
    feeds: Readonly<Record<string, HostTensor>>,
    into: Readonly<Record<string, HostTensor>> = {},
  ): Promise<Record<string, HostTensor>> {
    if (this.released) throw invalid('runtime.released', 'This executable has been released.');
    const inputs = Object.fromEntries(this.inputs.map((name) => [name, this.wrap(name, feeds[name], 'input')]));
    const fetches = Object.fromEntries(
      this.outputs.map((name) => [name, into[name] ? this.wrap(name, into[name], 'output') : null]),
    );
    const results = await this.session.run(inputs, fetches).catch((error: unknown) => {
      throw runError(error);
    });
    return Object.fromEntries(this.outputs.map((name) => [name, into[name] ?? fromOrt(results[name])]));
  }

  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    await this.session.release();
  }

  private wrap(name: string, tensor: HostTensor | undefined, role: 'input' | 'output'): ort.Tensor {
    if (!tensor) throw invalid('runtime.input', `The input "${name}" is missing.`, { field: name });
    let byTensor = this.wrapped.get(name);
    if (!byTensor) this.wrapped.set(name, (byTensor = new WeakMap()));
    let wrapped = byTensor.get(tensor);
    if (!wrapped) {
      check(name, role, tensor, this.types.get(name));
      wrapped = toOrt(tensor);
      byTensor.set(tensor, wrapped);
    }
    return wrapped;
  }
}

/** Compares dtype, dimensions and size with what the session expects. */
function check(name: string, role: 'input' | 'output', tensor: HostTensor, expected: Metadata | undefined): void {
  const fail = (message: string): never => {
    throw invalid('runtime.input', `The ${role} "${name}" ${message}.`, { field: name });
  };
  const { length } = tensor.data;
  if (!(tensor.data instanceof DTYPES[tensor.dtype].array)) {
    fail(`is declared ${tensor.dtype} but holds a ${tensor.data.constructor.name}`);
  }
  if (length !== Math.ceil((sizeOf(tensor.dims) * DTYPES[tensor.dtype].bits) / (8 * tensor.data.BYTES_PER_ELEMENT))) {
    fail(`is declared ${formatShape(tensor.dims)} but holds ${length} elements`);
  }
  if (!expected?.isTensor) return;
  if (expected.type !== tensor.dtype) fail(`must be ${expected.type}, not ${tensor.dtype}`);
  const { shape } = expected;
  const fits =
    shape.length === tensor.dims.length && shape.every((dim, i) => typeof dim === 'string' || dim === tensor.dims[i]);
  if (!fits) fail(`must have the shape ${formatShape(shape)}, not ${formatShape(tensor.dims)}`);
}

function toOrt({ dtype, data, dims }: HostTensor): ort.Tensor {
  if (dtype === 'bfloat16') throw invalid('runtime.dtype', 'onnxruntime-node has no bfloat16 tensors.');
  // The constructor's overloads pair each dtype with its array; `check` has compared them.
  return new ort.Tensor(dtype as 'float32', data as Float32Array, dims);
}

function fromOrt(tensor: ort.OnnxValue): HostTensor {
  const { type, data, dims } = tensor;
  if (!(type in DTYPES))
    throw invalid('runtime.dtype', `An output has the type ${type}, which modelpress does not handle.`);
  return { dtype: type as DType, dims, data: data as Float32Array };
}
