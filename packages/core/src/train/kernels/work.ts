/** @file Lists of kernel calls, carried out on this thread or in the background. */
import { runKernelCalls } from '../../runtime/native';
import type { KernelCall } from '../../runtime/native';
import type { Kernels } from './kernels';

/** Elements of one call at most, so that threads share large parameters and sums are split alike everywhere. */
const BLOCK = 2 ** 18;

/** A memory, into which the addresses of calls are byte offsets. */
export interface KernelMemory {
  readonly buffer: ArrayBuffer;
  readonly kernels: Kernels;
}

/** Carries out calls of which none writes what another one touches; the sum of their results, in their order. */
export type KernelRunner = (memory: KernelMemory, calls: readonly KernelCall[]) => Promise<number>;

/** In WebAssembly. */
export const onThisThread: KernelRunner = async ({ kernels }, calls) =>
  calls.reduce((sum, call) => sum + carryOut(kernels, call), 0);

/** In the native runtime, with the same bits. */
export const inBackground =
  (threads: number): KernelRunner =>
  ({ buffer }, calls) =>
    runKernelCalls(buffer, calls, threads);

/** Calls over any number of memories. */
export class KernelWork {
  private readonly calls = new Map<KernelMemory, KernelCall[]>();

  add(memory: KernelMemory, call: KernelCall): void {
    const calls = this.calls.get(memory);
    if (calls) calls.push(call);
    else this.calls.set(memory, [call]);
  }

  /** @param call makes the call for `count` of the `size` elements, the first of them `start` */
  addInBlocks(memory: KernelMemory, size: number, call: (start: number, count: number) => KernelCall): void {
    for (let start = 0; start < size; start += BLOCK) this.add(memory, call(start, Math.min(BLOCK, size - start)));
  }

  /** The sum of the results. */
  async run(runner: KernelRunner): Promise<number> {
    let sum = 0;
    for (const [memory, calls] of this.calls) sum += await runner(memory, calls);
    return sum;
  }
}

function carryOut(kernels: Kernels, call: KernelCall): number {
  switch (call.kernel) {
    case 'adamw':
      kernels.adamw(call.at, call.count, call.scalars);
      return 0;
    case 'accumulate':
      kernels.accumulate(call.target, call.source, call.count);
      return 0;
    case 'scale':
      kernels.scale(call.target, call.count, call.factor);
      return 0;
    case 'ema':
      kernels.ema(call.average, call.source, call.count, call.rate);
      return 0;
    case 'sumSquares':
      return kernels.sumSquares(call.source, call.count);
    case 'mask':
      kernels.mask(call.target, call.masks, call.count);
      return 0;
    case 'dropoutMask':
      kernels.dropoutMask(call.target, call.count, call.key, call.threshold, call.value);
      return 0;
  }
}
