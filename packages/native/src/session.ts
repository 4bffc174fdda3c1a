/** @file A compiled graph, and runs of it on memory of the caller. */
import type { Addon, BindingHandle, FreshOutput, NativeArray, SessionHandle, ValueInfo } from './addon';
import { NativeError, nativeError } from './errors';

/** A tensor in memory of the caller; `type` is the number of its ONNX element type. */
export interface NativeTensor {
  readonly type: number;
  readonly dims: readonly number[];
  readonly data: NativeArray;
}

/** What is bound at the moment, so that a step which feeds the same tensors as the one before binds nothing. */
interface Binding {
  readonly handle: BindingHandle;
  readonly inputs: (NativeTensor | undefined)[];
  readonly outputs: (NativeTensor | null)[];
}

export class NativeSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Bindings that no run uses. */
  private readonly idle: Binding[] = [];
  private released = false;

  /** By `NativeLibrary.createSession`. */
  constructor(
    private readonly addon: Addon,
    private readonly handle: SessionHandle,
  ) {
    this.inputs = handle.inputs;
    this.outputs = handle.outputs;
  }

  /**
   * Computes on a background thread; runs may be under way at once. Memory of inputs is read and memory of outputs
   * written in place: leave both alone until the promise settles. The session keeps hold of the tensors of the last
   * runs until others take their places or it is released.
   * @param inputs in the order of `this.inputs`
   * @param outputs in the order of `this.outputs`; `null`: allocate it
   * @param signal ends the run at its next operator
   * @throws NativeError
   */
  async run(
    inputs: readonly NativeTensor[],
    outputs: readonly (NativeTensor | null)[],
    signal?: AbortSignal,
  ): Promise<NativeTensor[]> {
    if (this.released) throw new NativeError('native.released', 'This session has been released.');
    if (signal?.aborted) throw new NativeError('native.cancelled', 'The run was cancelled.');
    let binding: Binding | undefined;
    const cancel = (): void => {
      if (binding) this.addon.cancel(binding.handle);
    };
    try {
      binding = this.idle.pop() ?? this.createBinding();
      this.bind(binding, inputs, outputs);
      const running = this.addon.run(binding.handle);
      signal?.addEventListener('abort', cancel, { once: true });
      const fresh = await running;
      return fresh.map((output, i) => (output ? tensorOf(output) : outputs[i]!));
    } catch (error) {
      throw nativeError(error);
    } finally {
      signal?.removeEventListener('abort', cancel);
      if (binding) this.giveBack(binding);
    }
  }

  /** Frees the session as soon as runs under way have ended. */
  release(): void {
    if (this.released) return;
    this.released = true;
    for (const binding of this.idle.splice(0)) this.addon.releaseBinding(binding.handle);
    this.addon.releaseSession(this.handle);
  }

  private createBinding(): Binding {
    const handle = this.addon.createBinding(this.handle);
    return { handle, inputs: this.inputs.map(() => undefined), outputs: this.outputs.map(() => null) };
  }

  private giveBack(binding: Binding): void {
    if (this.released) this.addon.releaseBinding(binding.handle);
    else this.idle.push(binding);
  }

  private bind(
    { handle, inputs: boundInputs, outputs: boundOutputs }: Binding,
    inputs: readonly NativeTensor[],
    outputs: readonly (NativeTensor | null)[],
  ): void {
    for (const [i, { name }] of this.inputs.entries()) {
      const tensor = inputs[i];
      if (!tensor) throw new NativeError('native.argument', `The input "${name}" is missing.`);
      if (boundInputs[i] === tensor) continue;
      requireFixed(name, tensor);
      this.addon.bindInput(handle, i, tensor.data, tensor.type, tensor.dims);
      boundInputs[i] = tensor;
    }
    for (const [i, { name }] of this.outputs.entries()) {
      const tensor = outputs[i] ?? null;
      if (boundOutputs[i] === tensor) continue;
      if (tensor) requireFixed(name, tensor);
      this.addon.bindOutput(handle, i, tensor?.data ?? null, tensor?.type ?? 0, tensor?.dims ?? []);
      boundOutputs[i] = tensor;
    }
  }
}

/** Memory that can shrink could go away during a run. */
function requireFixed(name: string, { data }: NativeTensor): void {
  const buffer: ArrayBufferLike & { readonly resizable?: boolean; readonly growable?: boolean } = data.buffer;
  if (!buffer.resizable && !buffer.growable) return;
  throw new NativeError('native.buffer', `"${name}" lies in a buffer that can be resized.`);
}

type ArrayOverBuffer = new (buffer: ArrayBuffer) => NativeArray;

/** The typed array of each ONNX element type that outputs may have. */
const ARRAYS: Readonly<Record<number, ArrayOverBuffer>> = {
  1: Float32Array,
  2: Uint8Array,
  3: Int8Array,
  4: Uint16Array,
  5: Int16Array,
  6: Int32Array,
  7: BigInt64Array,
  9: Uint8Array,
  10: Uint16Array,
  11: Float64Array,
  12: Uint32Array,
  13: BigUint64Array,
  16: Uint16Array,
  21: Uint8Array,
  22: Uint8Array,
};

/** The addon lets no other element types through. */
const tensorOf = ({ type, dims, buffer }: FreshOutput): NativeTensor => {
  return { type, dims, data: new ARRAYS[type]!(buffer) };
};
