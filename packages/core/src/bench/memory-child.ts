/** @file Entry of the process that `measureMemory` starts: loads one model, runs it, tells the peak and ends. */
import { performance } from 'node:perf_hooks';
import { ModelpressError } from '../errors';
import { ortRuntime } from '../runtime';
import type { MemoryReply, MemoryRequest } from './memory';
import { syntheticInputs } from './inputs';

async function measure(request: MemoryRequest): Promise<MemoryReply> {
  const start = performance.now();
  const executable = await ortRuntime.compile({ path: request.path }, { threads: request.threads });
  const loadMilliseconds = performance.now() - start;
  const feeds = syntheticInputs(request.manifest, request.vocabulary, request.shape, 1);
  for (let i = 0; i < request.runs; i++) await executable.run(feeds);
  // maxRSS is in kilobytes on every platform (libuv converts).
  return { peakBytes: process.resourceUsage().maxRSS * 1024, loadMilliseconds };
}

process.once('message', (request: MemoryRequest) => {
  measure(request)
    .catch((thrown: unknown): MemoryReply => ({ error: ModelpressError.from(thrown).toJSON() }))
    .then((reply) => process.send?.(reply, () => process.disconnect()))
    .catch(() => process.exit(1));
});
