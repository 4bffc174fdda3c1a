/** @file The second runtime: TensorFlow.js, on its CPU backend (an independent oracle in tests) or on CUDA. */
import { Model } from '../../graph';
import { readModel, readModelFile } from '../../onnx';
import { requireFp32 } from '../require-fp32';
import type { CompileOptions, Executable, Runtime, RuntimeCapabilities } from '../runtime';
import { TfjsExecutable } from './executable';
import { loadTensorFlow, tfjsCapabilities } from './library';

class TfjsRuntime implements Runtime {
  readonly name = 'tfjs';

  capabilities(): Promise<RuntimeCapabilities> {
    return tfjsCapabilities();
  }

  /** Of the options, `device` has a meaning here, and `precision` must be `fp32`. */
  async compile(
    model: Model | Uint8Array | { readonly path: string },
    { device = 'cpu', precision }: CompileOptions = {},
  ): Promise<Executable> {
    requireFp32('TensorFlow.js', precision);
    return new TfjsExecutable(await loadTensorFlow(device), await load(model));
  }
}

function load(model: Model | Uint8Array | { readonly path: string }): Model | Promise<Model> {
  if (model instanceof Model) return model;
  return model instanceof Uint8Array ? readModel(model) : readModelFile(model.path);
}

/** TensorFlow.js on this machine, if it is installed. */
export const tfjsRuntime: Runtime = new TfjsRuntime();
