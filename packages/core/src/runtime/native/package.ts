/** @file Finds the optional package @modelpress/native. The only place that loads it. */
import type * as Native from '@modelpress/native';
import { unsupported } from '../../errors';

type NativePackage = typeof Native;
export type NativeLibrary = Native.NativeLibrary;
export type NativeSession = Native.NativeSession;
export type NativeTensor = Native.NativeTensor;
/** A loop over the memory of parameters, as data. */
export type KernelCall = Native.NativeKernelCall;

let isOff = false;
let loaded: { readonly library: NativeLibrary } | { readonly reason: string } | undefined;

/** Turns the native runtime off for this process, or on again: the configuration's word, given once at the start. */
export function switchNative(to: 'auto' | 'off'): void {
  isOff = to === 'off';
}

/** The library, or in one sentence why there is none. Loads it at the first call. */
export function findNative(): { readonly library: NativeLibrary } | { readonly reason: string } {
  if (isOff) return { reason: 'The native runtime is turned off by configuration.' };
  return (loaded ??= load());
}

function load(): { readonly library: NativeLibrary } | { readonly reason: string } {
  try {
    const { NativeLibrary } = require('@modelpress/native') as NativePackage;
    return { library: new NativeLibrary() };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') {
      return { reason: 'The package @modelpress/native is not installed.' };
    }
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { reason };
  }
}

/** Why nothing runs in the native runtime here; undefined where it is ready. */
export function nativeObstacle(): string | undefined {
  const found = findNative();
  return 'reason' in found ? found.reason : undefined;
}

/** @throws ModelpressError `runtime.native` that says what is missing */
export function requireNative(): NativeLibrary {
  const found = findNative();
  if ('library' in found) return found.library;
  throw unsupported('runtime.native', `The native runtime is not available: ${found.reason}`);
}

/** Why matrix products in bfloat16 would not pay here; undefined where they do. */
export function bf16Obstacle(): string | undefined {
  const found = findNative();
  if ('reason' in found) return found.reason;
  return found.library.hasBf16 ? undefined : 'This processor has no instructions for bfloat16 (AVX512_BF16).';
}
