import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describeWithNative } from '../../../../../tools/native-addon';
import { Random } from '../random';
import { ParameterSlabs } from '../slabs';
import { adamwAddresses } from './kernels';
import { KernelWork, inBackground, onThisThread } from './work';
import type { KernelRunner } from './work';

/** What is in the memory of a parameter of `size` random elements after a pass of every kernel, and the square norm. */
async function everyKernel(runner: KernelRunner, size: number, seed: number): Promise<unknown> {
  const [slot] = ParameterSlabs.allocate([{ name: 'p', dims: [size] }]).slots;
  const random = new Random(seed);
  for (const array of [slot.weight, slot.gradient, slot.landing, slot.average, slot.firstMoment])
    for (let i = 0; i < size; i++) array[i] = random.uniform() - 0.5;
  for (let i = 0; i < size; i++) slot.secondMoment[i] = random.uniform();
  for (let i = 0; i < size; i++) slot.mask[i] = random.integer(2);
  const { at, memory } = slot;
  const scalars = {
    scale: random.uniform(),
    keep: 0.9999,
    oneMinusBeta1: 0.1,
    beta2: 0.999,
    oneMinusBeta2: 0.001,
    stepSize: 1e-3,
    epsilon: 1e-8,
  };
  let squares = 0;
  // One after the other: each reads what the one before wrote.
  const passes: Parameters<KernelWork['addInBlocks']>[2][] = [
    (start, count) => ({
      kernel: 'accumulate',
      target: at.gradient + 4 * start,
      source: at.landing + 4 * start,
      count,
    }),
    (start, count) => ({ kernel: 'sumSquares', source: at.gradient + 4 * start, count }),
    (start, count) => ({ kernel: 'adamw', at: adamwAddresses(at, start), count, scalars }),
    (start, count) => ({ kernel: 'scale', target: at.weight + 4 * start, count, factor: 0.3 }),
    (start, count) => ({ kernel: 'mask', target: at.weight + 4 * start, masks: at.mask + start, count }),
    (start, count) => ({
      kernel: 'ema',
      average: at.average + 4 * start,
      source: at.weight + 4 * start,
      count,
      rate: 0.2,
    }),
    (start, count) => {
      const key = [random.integer(2 ** 31), -random.integer(2 ** 31)] as const;
      return { kernel: 'dropoutMask', target: at.landing + 4 * start, count, key, threshold: 9000, value: 1.25 };
    },
  ];
  for (const call of passes) {
    const work = new KernelWork();
    work.addInBlocks(memory, size, call);
    squares += await work.run(runner);
  }
  return { squares, digest: createHash('sha256').update(new Uint8Array(memory.buffer)).digest('hex') };
}

describeWithNative('kernel calls in the background', () => {
  it('give the same bits as on this thread, on any number of threads', async () => {
    const sameBits = async (size: number, seed: number, threads: number): Promise<void> =>
      expect(await everyKernel(inBackground(threads), size, seed)).toEqual(await everyKernel(onThisThread, size, seed));
    const [size, threads] = [fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 3 })];
    await fc.assert(fc.asyncProperty(size, fc.nat(), threads, sameBits), { numRuns: 30 });
    await sameBits(2 ** 18 + 5, 1, 2); // two blocks
  });

  it('refuses a call that leaves the memory', async () => {
    const [{ memory }] = ParameterSlabs.allocate([{ name: 'p', dims: [1] }]).slots;
    const call = { kernel: 'scale', target: memory.buffer.byteLength, count: 1, factor: 2 } as const;
    await expect(inBackground(1)(memory, [call])).rejects.toMatchObject({ code: 'runtime.input' });
  });
});
