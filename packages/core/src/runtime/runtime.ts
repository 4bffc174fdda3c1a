/** @file What an execution engine must do. No type of onnxruntime-node or TensorFlow.js appears here. */
import type { DType, Model, TypedArray } from '../graph';

/** A tensor in host memory. `data` may be a view of a parameter slab: engines read and write it in place. */
export interface HostTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TypedArray;
}

export type RuntimeName = 'ort' | 'native' | 'tfjs';
/**
 * How matrix products are computed. `bf16` rounds their operands to bfloat16 (8 bits of precision) and sums in float32,
 * where that is faster; everything else stays float32.
 */
export type Precision = 'fp32' | 'bf16';
/** Where a runtime executes. */
export type Device = 'cpu' | 'cuda' | 'webgpu';

export interface CompileOptions {
  readonly device?: Device;
  /** Threads of one operator; default: the cores of this process. */
  readonly threads?: number;
  /** Keep worker threads spinning between operators: faster on a quiet machine, costly on a shared one. Default false. */
  readonly spin?: boolean;
  /** `basic` keeps to ops with known semantics, `all` lets the engine fuse; default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'all';
  /** Reserve activation memory by a fixed plan; default false, which peaks lower. */
  readonly memoryPattern?: boolean;
  /**
   * Keep the memory of intermediate results for the next run; default true. Without it, executables that run in turns
   * do not hold theirs at the same time, and a run that needs gigabytes takes a few percent longer.
   */
  readonly keepMemory?: boolean;
  /** Default `fp32`, which gives the same bits in the runtimes `ort` and `native`; `bf16` needs `native`. */
  readonly precision?: Precision;
}

/** A compiled graph. */
export interface Executable {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /**
   * Runs once. With `into`, outputs named there are written to that memory and those tensors returned; other outputs
   * are freshly allocated. Blocks the calling thread in the `ort` runtime: run it in a child process. In the `native`
   * runtime it does not: leave all memory alone until the promise settles.
   * @param signal ends the run early where the runtime can (`native`)
   * @throws ModelpressError `runtime.input` for a missing or ill-shaped input, `cancelled`, `runtime.failed` otherwise.
   */
  run(
    feeds: Readonly<Record<string, HostTensor>>,
    into?: Readonly<Record<string, HostTensor>>,
    signal?: AbortSignal,
  ): Promise<Record<string, HostTensor>>;
  release(): Promise<void>;
}

/** What one runtime can do on this machine, as a worker reports it at start. */
export interface RuntimeCapabilities {
  readonly runtime: RuntimeName;
  readonly version: string;
  readonly devices: readonly { readonly device: Device; readonly available: boolean; readonly reason?: string }[];
}

export interface Runtime {
  readonly name: RuntimeName;
  capabilities(): Promise<RuntimeCapabilities>;
  /** Compiles a model. A path is used for a model with external data, which is then memory-mapped by the engine. */
  compile(model: Model | Uint8Array | { readonly path: string }, options?: CompileOptions): Promise<Executable>;
}
