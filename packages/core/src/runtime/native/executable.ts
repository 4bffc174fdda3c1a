/** @file One native session behind the Executable interface. */
import { invalid } from '../../errors';
import { DTYPES, dtypeFromOnnx } from '../../graph';
import type { DType } from '../../graph';
import { checkTensor } from '../check-tensor';
import type { ExpectedTensor } from '../check-tensor';
import type { Executable, HostTensor } from '../runtime';
import { runError } from './errors';
import type { NativeSession, NativeTensor } from './package';

export class NativeExecutable implements Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  private readonly types: ReadonlyMap<string, ExpectedTensor>;
  /** Tensors that were checked before: a training step feeds the same parameters every time. */
  private readonly checked = new Map<string, WeakMap<HostTensor, NativeTensor>>();

  constructor(private readonly session: NativeSession) {
    this.inputs = session.inputs.map(({ name }) => name);
    this.outputs = session.outputs.map(({ name }) => name);
    this.types = new Map(
      [...session.inputs, ...session.outputs].flatMap(({ name, type, dims }) => {
        const dtype = dtypeFromOnnx(type);
        return dtype ? [[name, { dtype, dims }] as const] : [];
      }),
    );
  }

  /** Runs on a background thread; runs may be under way at once. */
  async run(
    feeds: Readonly<Record<string, HostTensor>>,
    into: Readonly<Record<string, HostTensor>> = {},
    signal?: AbortSignal,
  ): Promise<Record<string, HostTensor>> {
    const inputs = this.inputs.map((name) => this.wrap(name, feeds[name], 'input'));
    const outputs = this.outputs.map((name) => (into[name] ? this.wrap(name, into[name], 'output') : null));
    const results = await this.session.run(inputs, outputs, signal).catch((error: unknown) => {
      throw runError(error);
    });
    return Object.fromEntries(this.outputs.map((name, i) => [name, into[name] ?? toHost(results[i])]));
  }

  async release(): Promise<void> {
    this.session.release();
  }

  private wrap(name: string, tensor: HostTensor | undefined, role: 'input' | 'output'): NativeTensor {
    if (!tensor) throw invalid('runtime.input', `The input "${name}" is missing.`, { field: name });
    let byTensor = this.checked.get(name);
    if (!byTensor) this.checked.set(name, (byTensor = new WeakMap()));
    let wrapped = byTensor.get(tensor);
    if (!wrapped) {
      checkTensor(name, role, tensor, this.types.get(name));
      wrapped = { type: DTYPES[tensor.dtype].onnx, dims: tensor.dims, data: tensor.data };
      byTensor.set(tensor, wrapped);
    }
    return wrapped;
  }
}

/** The addon hands out no types that modelpress does not know. */
const toHost = ({ type, dims, data }: NativeTensor): HostTensor => ({
  dtype: dtypeFromOnnx(type) as DType,
  dims,
  data,
});
