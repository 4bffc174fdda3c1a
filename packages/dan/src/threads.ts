/** @file Batches spread over Node's threads, which share one table. Browsers: `shareDan` and workers of the page's own. */
import { availableParallelism } from 'node:os';
import { extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { decodeDan } from './format';
import type { DanOptions } from './layout';
import type { DanModel } from './model';
import { shareDan } from './shared';
import type { SharedDan } from './shared';

export interface DanThreadsOptions extends DanOptions {
  /** Default: the processors that this process may use. */
  readonly threads?: number;
}

/** What a thread is started with. */
export interface ThreadStart {
  readonly shared: SharedDan;
  readonly thread: number;
}
/** What a thread answers to a list of texts. */
export type ThreadAnswer = { readonly logits: Float32Array } | { readonly error: string };

/** Texts of one message: enough to make its cost small, few enough to keep every thread busy. */
const MESSAGE = 256;

/** A model on several threads. `close` it, or the process stays. */
export class DanThreads {
  readonly labels: readonly string[];
  readonly #threads: readonly Thread[];

  /** @throws RangeError when the model and its threads need more than 4 GiB */
  constructor(model: DanModel, { threads = availableParallelism(), ...options }: DanThreadsOptions = {}) {
    const shared = shareDan(model, { ...options, threads });
    this.labels = model.labels;
    this.#threads = Array.from({ length: threads }, (_, thread) => new Thread({ shared, thread }));
  }

  /** Reads a model file's bytes. */
  static from(bytes: Uint8Array, options?: DanThreadsOptions): DanThreads {
    return new DanThreads(decodeDan(bytes), options);
  }

  /**
   * Logits of any number of texts, [texts, labels] row-major.
   * @throws RangeError for a text that is too long, Error when a thread ended
   */
  async logits(texts: readonly string[]): Promise<Float32Array> {
    const classes = this.labels.length;
    const result = new Float32Array(texts.length * classes);
    const size = Math.max(1, Math.min(MESSAGE, Math.ceil(texts.length / this.#threads.length)));
    let next = 0;
    const work = async (thread: Thread): Promise<void> => {
      while (next < texts.length) {
        const first = next;
        next += size;
        result.set(await thread.logits(texts.slice(first, first + size)), first * classes);
      }
    };
    await Promise.all(this.#threads.map(work));
    return result;
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}

interface Waiting {
  resolve(logits: Float32Array): void;
  reject(error: Error): void;
}

class Thread {
  readonly #worker: Worker;
  /** In the order of their messages, which is that of the answers. */
  readonly #waiting: Waiting[] = [];
  #ended: Error | undefined;

  constructor(workerData: ThreadStart) {
    // Run from TypeScript sources (in tests), the thread compiles them too.
    const extension = extname(__filename);
    const compiler = join(__dirname, '../../../tools/register-typescript.cjs');
    this.#worker = new Worker(join(__dirname, `thread${extension}`), {
      workerData,
      execArgv: extension === '.ts' ? ['--require', compiler] : [],
    });
    this.#worker.on('message', (answer: ThreadAnswer) => {
      const waiting = this.#waiting.shift()!;
      if ('error' in answer) waiting.reject(new RangeError(answer.error));
      else waiting.resolve(answer.logits);
    });
    this.#worker.on('error', (error: Error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(new Error('The thread of the model has ended.')));
  }

  logits(texts: readonly string[]): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(texts);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#ended);
  }
}
