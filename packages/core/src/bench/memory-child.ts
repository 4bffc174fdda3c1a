/** @file Entry of the process that `measureMemory` starts: loads one model, runs it, tells the peak and ends. */
import { performance } from 'node:perf_hooks';
import { ModelpressError } from '../errors';
import { loadModel } from './loaded-model';
import type { MemoryReply, MemoryRequest } from './memory';

async function measure({ shape, runs, ...options }: MemoryRequest): Promise<MemoryReply> {
  const start = performance.now();
  const model = await loadModel(options);
  const loadMilliseconds = performance.now() - start;
  const run = model.synthetic(shape, 1);
  for (let i = 0; i < runs; i++) await run();
  // maxRSS is in kilobytes on every platform (libuv converts).
  return { peakBytes: process.resourceUsage().maxRSS * 1024, loadMilliseconds };
}

process.once('message', (request: MemoryRequest) => {
  measure(request)
    .catch((thrown: unknown): MemoryReply => ({ error: ModelpressError.from(thrown).toJSON() }))
    .then((reply) => process.send?.(reply, () => process.disconnect()))
    .catch(() => process.exit(1));
});
