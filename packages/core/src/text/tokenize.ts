import { extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { cancelled, ModelpressError, throwIfAborted } from '../errors';
import type { SerializedError } from '../errors';
import type { Split } from './dataset';
import { TokenRows } from './token-rows';
import type { RowOptions, TokenStatistics } from './tokenize-rows';
import type { Tokenizer } from './tokenizer';
import type { TokenizerSource } from './tokenizer-definition';

/** What the thread is told to do. */
export interface TokenizeTask {
  readonly dataset: string;
  readonly split: Split;
  readonly source: TokenizerSource;
  readonly options: RowOptions;
  readonly folder: string;
}

/** What the thread answers. */
export type TokenizeMessage =
  | { readonly type: 'progress'; readonly rows: number }
  | { readonly type: 'done'; readonly statistics: TokenStatistics }
  | { readonly type: 'failed'; readonly error: SerializedError };

export interface TokenizeOptions extends RowOptions {
  /** Folder for the token files; emptied first. */
  readonly folder: string;
  /** Ids above this many bytes stay on disk; default 256 MiB. */
  readonly memoryBytes?: number;
  readonly signal?: AbortSignal;
  /** Hears how many rows are done. */
  readonly onRows?: (rows: number) => void;
}

export interface TokenizedSplit {
  readonly rows: TokenRows;
  readonly statistics: TokenStatistics;
}

/**
 * Tokenizes a split of a data set folder in a thread of its own and opens the result. Memory does not grow with the
 * data set beyond 20 bytes a row and `memoryBytes`.
 * @throws ModelpressError of reading or tokenizing, or `cancelled`.
 */
export async function tokenizeSplit(
  dataset: string,
  split: Split,
  tokenizer: Tokenizer,
  { folder, memoryBytes, signal, onRows, ...options }: TokenizeOptions,
): Promise<TokenizedSplit> {
  throwIfAborted(signal);
  const task: TokenizeTask = { dataset, split, source: tokenizer.source, options, folder };
  const statistics = await runThread(task, signal, onRows);
  return { rows: new TokenRows(folder, memoryBytes), statistics };
}

async function runThread(
  task: TokenizeTask,
  signal: AbortSignal | undefined,
  onRows: ((rows: number) => void) | undefined,
): Promise<TokenStatistics> {
  const thread = startThread('tokenize-worker', task);
  const abort = (): void => void thread.terminate();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      thread.on('message', (message: TokenizeMessage) => {
        if (message.type === 'progress') onRows?.(message.rows);
        else if (message.type === 'done') resolve(message.statistics);
        else reject(ModelpressError.fromJSON(message.error));
      });
      thread.on('error', (error) => reject(ModelpressError.from(error)));
      thread.on('exit', (code) =>
        reject(
          signal?.aborted
            ? cancelled(signal.reason)
            : new ModelpressError('internal', 'tokens.thread', `The tokenizing thread ended with code ${code}.`),
        ),
      );
    });
  } finally {
    signal?.removeEventListener('abort', abort);
    await thread.terminate();
  }
}

/** Starts a module of this folder as a thread. Run from TypeScript sources (in tests), the thread compiles them too. */
function startThread(module: string, workerData: TokenizeTask): Worker {
  const extension = extname(__filename);
  const compiler = join(__dirname, '../../../../tools/register-typescript.cjs');
  return new Worker(join(__dirname, module + extension), {
    workerData,
    execArgv: extension === '.ts' ? ['--require', compiler] : [],
  });
}
