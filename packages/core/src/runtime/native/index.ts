/** @file ONNX Runtime through the addon of @modelpress/native: in the background, without copies, with our own kernels. */
import { availableParallelism } from 'node:os';
import { unsupported } from '../../errors';
import { Model } from '../../graph';
import { readModelFile, writeModel } from '../../onnx';
import { readModel } from '../../onnx/read';
import { inExecutionOrder } from '../ort/execution-order';
import type { CompileOptions, Executable, Runtime, RuntimeCapabilities } from '../runtime';
import { compileError, runError } from './errors';
import { NativeExecutable } from './executable';
import { lower } from './lower';
import { bf16Obstacle, findNative, requireNative } from './package';
import type { KernelCall } from './package';

export { bf16Obstacle, nativeObstacle, switchNative } from './package';
export type { KernelCall } from './package';

class NativeRuntime implements Runtime {
  readonly name = 'native';

  async capabilities(): Promise<RuntimeCapabilities> {
    const found = findNative();
    if ('library' in found) {
      return { runtime: this.name, version: found.library.version, devices: [{ device: 'cpu', available: true }] };
    }
    const { reason } = found;
    return { runtime: this.name, version: 'not installed', devices: [{ device: 'cpu', available: false, reason }] };
  }

  async compile(
    model: Model | Uint8Array | { readonly path: string },
    options: CompileOptions = {},
  ): Promise<Executable> {
    const { device = 'cpu', threads = availableParallelism(), precision = 'fp32', ...settings } = options;
    if (device !== 'cpu')
      throw unsupported('runtime.device', `The native runtime computes on the CPU, not on ${device}.`);
    const library = requireNative();
    if (precision === 'bf16') requireBf16();
    const source = precision === 'bf16' ? await inBf16(model) : bytesOrPath(model);
    try {
      return new NativeExecutable(await library.createSession(source, { threads, ...settings }));
    } catch (error) {
      throw compileError(error);
    }
  }
}

/** ONNX Runtime in the background, where @modelpress/native is installed and compiled. Stateless. */
export const nativeRuntime: Runtime = new NativeRuntime();

/**
 * Carries out loops over `memory` on background threads, with the bits of the WebAssembly kernels. Calls may run at once:
 * none may write what another one touches.
 * @returns the sum of the results of `sumSquares`, added in their order
 */
export async function runKernelCalls(
  memory: ArrayBuffer,
  calls: readonly KernelCall[],
  threads: number,
): Promise<number> {
  try {
    return await requireNative().runCalls(memory, calls, threads);
  } catch (error) {
    throw runError(error);
  }
}

function requireBf16(): void {
  const obstacle = bf16Obstacle();
  if (obstacle) throw unsupported('runtime.precision', `Precision bf16 is not possible here: ${obstacle}`);
}

function bytesOrPath(model: Model | Uint8Array | { readonly path: string }): Uint8Array | string {
  if (model instanceof Model) return writeModel(inExecutionOrder(model));
  return model instanceof Uint8Array ? model : model.path;
}

async function inBf16(model: Model | Uint8Array | { readonly path: string }): Promise<Uint8Array> {
  if (model instanceof Model) return writeModel(inExecutionOrder(lower(model)));
  return writeModel(lower(model instanceof Uint8Array ? readModel(model) : await readModelFile(model.path)));
}
