/** @file The default runtime: ONNX Runtime through onnxruntime-node. */
import { availableParallelism } from 'node:os';
import * as ort from 'onnxruntime-node';
import { unsupported } from '../../errors';
import { Model } from '../../graph';
import { writeModel } from '../../onnx';
import { requireFp32 } from '../require-fp32';
import type { CompileOptions, Device, Executable, Runtime, RuntimeCapabilities } from '../runtime';
import { deviceReports } from './devices';
import { compileError } from './errors';
import { inExecutionOrder } from './execution-order';
import { OrtExecutable } from './session';

/** Fatal only: the library logs to stderr, and every error also arrives as an exception. */
const LOG_FATAL = 4;
ort.env.logLevel = 'fatal';

/** Version of onnxruntime-node, known without loading a device. */
export const ORT_VERSION = ort.env.versions.node ?? 'unknown';

class OrtRuntime implements Runtime {
  readonly name = 'ort';

  async capabilities(): Promise<RuntimeCapabilities> {
    return { runtime: this.name, version: ORT_VERSION, devices: await deviceReports() };
  }

  async compile(
    model: Model | Uint8Array | { readonly path: string },
    options: CompileOptions = {},
  ): Promise<Executable> {
    const { device = 'cpu', precision } = options;
    requireFp32('onnxruntime-node', precision);
    await requireDevice(device);
    const settings = sessionOptions(device, options);
    try {
      if (model instanceof Model)
        return new OrtExecutable(await ort.InferenceSession.create(writeModel(inExecutionOrder(model)), settings));
      if (model instanceof Uint8Array) return new OrtExecutable(await ort.InferenceSession.create(model, settings));
      return new OrtExecutable(await ort.InferenceSession.create(model.path, settings));
    } catch (error) {
      throw compileError(error);
    }
  }
}

/** ONNX Runtime on this machine. Stateless; `run` and `compile` block the calling thread. */
export const ortRuntime: Runtime = new OrtRuntime();

async function requireDevice(device: Device): Promise<void> {
  if (device === 'cpu') return;
  const report = (await deviceReports()).find((entry) => entry.device === device);
  if (!report?.available) {
    throw unsupported(
      'runtime.device',
      `ONNX Runtime cannot use ${device} here: ${report?.reason ?? 'unknown device'}.`,
    );
  }
}

function sessionOptions(device: Device, options: CompileOptions): ort.InferenceSession.SessionOptions {
  const { threads = availableParallelism(), spin = false, optimization = 'all' } = options;
  return {
    executionProviders: [device],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: optimization,
    enableMemPattern: options.memoryPattern ?? false,
    enableCpuMemArena: options.keepMemory ?? true,
    logSeverityLevel: LOG_FATAL,
    extra: { 'session.intra_op.allow_spinning': spin ? '1' : '0' },
  };
}
