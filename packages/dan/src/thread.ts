/** @file One thread of `DanThreads`: gets lists of texts, answers with their logits. */
import { parentPort, workerData } from 'node:worker_threads';
import { DanClassifier } from './classifier';
import type { ThreadAnswer, ThreadStart } from './threads';

const { shared, thread } = workerData as ThreadStart;
const classifier = new DanClassifier(shared, thread);

parentPort!.on('message', (texts: readonly string[]) => {
  parentPort!.postMessage(answer(texts));
});

function answer(texts: readonly string[]): ThreadAnswer {
  try {
    return { logits: classifier.logits(texts) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
