/** @file One table for many threads. */
import { fill, layoutOf, PAGE } from './layout';
import type { DanOptions, Layout } from './layout';
import type { DanModel } from './model';

/** A model in shared memory. Post it to a thread as it is; there, `new DanClassifier(shared, thread)` works on it. */
export interface SharedDan {
  readonly labels: readonly string[];
  readonly memory: WebAssembly.Memory;
  readonly layout: Layout;
}

export interface ShareOptions extends DanOptions {
  /** Threads that work at the same time. */
  readonly threads: number;
}

/**
 * Copies a model into shared WebAssembly memory, once for all threads. A browser must have isolated the page
 * (`crossOriginIsolated`), or it has no shared memory.
 * @throws RangeError when model and threads need more than 4 GiB
 */
export function shareDan(model: DanModel, { threads, ...options }: ShareOptions): SharedDan {
  const layout = layoutOf(model, options, threads);
  const pages = Math.ceil(layout.end / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  fill(memory.buffer, layout, model);
  return { labels: model.labels, memory, layout };
}
