/** @file One onnxruntime session behind the Executable interface. */
import * as ort from 'onnxruntime-node';
import { invalid } from '../../errors';
import { DTYPES } from '../../graph';
import type { DType } from '../../graph';
import { checkTensor } from '../check-tensor';
import type { ExpectedTensor } from '../check-tensor';
import type { Executable, HostTensor } from '../runtime';
import { runError } from './errors';

export class OrtExecutable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  private readonly types: ReadonlyMap<string, ExpectedTensor>;
  /** Tensors that were checked and wrapped before: a training step feeds the same parameters every time. */
  private readonly wrapped = new Map<string, WeakMap<HostTensor, ort.Tensor>>();
  private released = false;

  constructor(private readonly session: ort.InferenceSession) {
    this.inputs = session.inputNames;
    this.outputs = session.outputNames;
    this.types = new Map(
      [...session.inputMetadata, ...session.outputMetadata].flatMap((type) =>
        type.isTensor ? [[type.name, { dtype: type.type, dims: type.shape }] as const] : [],
      ),
    );
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
      checkTensor(name, role, tensor, this.types.get(name));
      wrapped = toOrt(tensor);
      byTensor.set(tensor, wrapped);
    }
    return wrapped;
  }
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
