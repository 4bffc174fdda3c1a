/** @file The thread of `tokenizeSplit`. */
import { parentPort, workerData } from 'node:worker_threads';
import { ModelpressError } from '../errors';
import { readSplit } from './read';
import type { TokenizeMessage, TokenizeTask } from './tokenize';
import { tokenizeRows } from './tokenize-rows';
import { Tokenizer } from './tokenizer';

const { dataset, split, source, options, folder }: TokenizeTask = workerData;
const send = (message: TokenizeMessage): void => parentPort?.postMessage(message);

tokenizeRows(readSplit(dataset, split), new Tokenizer(source), options, folder, (rows) =>
  send({ type: 'progress', rows }),
).then(
  (statistics) => send({ type: 'done', statistics }),
  (error: unknown) => send({ type: 'failed', error: ModelpressError.from(error).toJSON() }),
);
