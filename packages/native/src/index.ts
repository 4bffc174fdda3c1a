/** @file The native runtime: ONNX Runtime's own library, off the main thread, with kernels of our own. */
import { createRequire } from 'node:module';
import type { Addon, SessionSettings } from './addon';
import { NativeError, nativeError } from './errors';
import { findAddon, findLibrary } from './find';
import { encodeCalls, requireFixedMemory } from './kernel-calls';
import type { NativeKernelCall } from './kernel-calls';
import { NativeSession } from './session';

export type { NativeArray, ValueInfo } from './addon';
export { NativeError } from './errors';
export type { NativeKernelCall } from './kernel-calls';
export type { NativeErrorCode } from './errors';
export { NativeSession } from './session';
export type { NativeTensor } from './session';

export interface NativeOptions {
  /** A compiled addon; default: the installed one. */
  readonly addon?: string;
  /** ONNX Runtime's library; default: that of the installed onnxruntime-node. */
  readonly library?: string;
}

export interface SessionOptions {
  /** Threads of one operator. */
  readonly threads: number;
  /** Whether threads that wait for work burn their core; default false. */
  readonly spin?: boolean;
  /** What ONNX Runtime may rewrite; default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'all';
  /** Reserve memory by a fixed plan; default false. */
  readonly memoryPattern?: boolean;
  /** Keep the memory of intermediate results for the next run; default true. */
  readonly keepMemory?: boolean;
  /** The level that kernels run at, one of `cpuLevels`; default: the best. */
  readonly cpu?: string;
}

const OPTIMIZATION_LEVELS = { disabled: 0, basic: 1, all: 99 } as const;

/** The loaded addon with ONNX Runtime's library. */
export class NativeLibrary {
  /** Of ONNX Runtime. */
  readonly version: string;
  /** Levels that kernels can run at here, the best last: `scalar`, `avx2`, `avx512`, `avx512-bf16`, `neon`. */
  readonly cpuLevels: readonly string[];

  /**
   * Loads both files; later loads in the same thread get the library of the first.
   * @throws NativeError `native.addon`, `native.library`
   */
  constructor({ addon, library }: NativeOptions = {}) {
    this.addon = loadAddon(addon ?? findAddon());
    try {
      this.version = this.addon.load(library ?? findLibrary());
      this.cpuLevels = this.addon.cpuLevels();
    } catch (error) {
      throw nativeError(error);
    }
  }

  private readonly addon: Addon;

  /** Whether matrix products in bfloat16 are computed by instructions for it, and so pay. */
  get hasBf16(): boolean {
    return this.cpuLevels.includes('avx512-bf16');
  }

  /** The functions of ONNX Runtime that are called, by their slot in its table. */
  get slots(): ReadonlyMap<string, number> {
    const texts = this.addon.slots();
    return new Map(texts.flatMap((slot, i) => (i % 2 === 0 ? [[texts[i + 1]!, Number(slot)] as const] : [])));
  }

  /**
   * Compiles a model on a background thread.
   * @param model an ONNX file's bytes, to be left alone until the promise settles, or its path
   * @throws NativeError
   */
  async createSession(model: Uint8Array | string, options: SessionOptions): Promise<NativeSession> {
    const settings: SessionSettings = {
      threads: options.threads,
      spin: options.spin ?? false,
      optimization: OPTIMIZATION_LEVELS[options.optimization ?? 'all'],
      memoryPattern: options.memoryPattern ?? false,
      keepMemory: options.keepMemory ?? true,
      cpu: options.cpu ?? this.cpuLevels.at(-1) ?? 'scalar',
    };
    try {
      return new NativeSession(this.addon, await this.addon.createSession(model, settings));
    } catch (error) {
      throw nativeError(error);
    }
  }

  /**
   * Carries out loops over `memory` on background threads. They may run at once, so none may write what another one
   * touches; leave the memory alone until the promise settles. Bits do not depend on the threads.
   * @returns the sum of the results of `sumSquares`, added in their order
   * @throws NativeError for a call that leaves the memory
   */
  async runCalls(memory: ArrayBuffer, calls: readonly NativeKernelCall[], threads: number): Promise<number> {
    requireFixedMemory(memory);
    try {
      return await this.addon.runCalls(memory, encodeCalls(calls), threads);
    } catch (error) {
      throw nativeError(error);
    }
  }
}

function loadAddon(path: string): Addon {
  try {
    return createRequire(__filename)(path) as Addon;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NativeError('native.addon', `The native addon cannot be loaded: ${reason}`);
  }
}
