/** @file The functions of the compiled addon (native/addon), as they are. */

/** Typed arrays over an ArrayBuffer or a SharedArrayBuffer. */
export type NativeArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** An input or output as the model declares it: the number of its ONNX element type, and its dimensions. */
export interface ValueInfo {
  readonly name: string;
  readonly type: number;
  /** A dynamic dimension is its name, which may be empty. */
  readonly dims: readonly (number | string)[];
}

export interface SessionSettings {
  readonly threads: number;
  /** ONNX Runtime's GraphOptimizationLevel. */
  readonly optimization: number;
  readonly spin: boolean;
  readonly memoryPattern: boolean;
  readonly keepMemory: boolean;
  /** One of `cpuLevels`. */
  readonly cpu: string;
}

/** An output that a run allocated. */
export interface FreshOutput {
  readonly type: number;
  readonly dims: readonly number[];
  readonly buffer: ArrayBuffer;
}

declare const sessionBrand: unique symbol;
declare const bindingBrand: unique symbol;
export interface SessionHandle {
  readonly [sessionBrand]: true;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}
export interface BindingHandle {
  readonly [bindingBrand]: true;
}

export interface Addon {
  /** Opens ONNX Runtime's library, once; returns its version. */
  load(path: string): string;
  /** Levels that kernels can run at here, the best last. */
  cpuLevels(): string[];
  /** [slot, name, slot, name, ...] of the functions that are called. */
  slots(): string[];
  createSession(model: Uint8Array | string, settings: SessionSettings): Promise<SessionHandle>;
  releaseSession(session: SessionHandle): void;
  createBinding(session: SessionHandle): BindingHandle;
  bindInput(binding: BindingHandle, index: number, array: NativeArray, type: number, dims: readonly number[]): void;
  bindOutput(
    binding: BindingHandle,
    index: number,
    array: NativeArray | null,
    type: number,
    dims: readonly number[],
  ): void;
  /** `null` where memory is bound. */
  run(binding: BindingHandle): Promise<(FreshOutput | null)[]>;
  cancel(binding: BindingHandle): void;
  releaseBinding(binding: BindingHandle): void;
  /** `calls` as `encodeCalls` lays them down; resolves to the sum of their results. */
  runCalls(memory: ArrayBuffer, calls: Float64Array, threads: number): Promise<number>;
}
