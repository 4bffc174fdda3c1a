/** @file A DAN on a split, through its own runtime. */
import { throwIfAborted } from '../errors';
import type { Predictions, PredictOptions } from '../evaluate/predict';
import { readSplit } from '../text';
import type { Split } from '../text';
import { openDan } from './bundle';
import { textOf } from './vocabulary';

/** @param names class names in the model's order */
export async function predictDan(
  bundle: string,
  dataset: string,
  split: Split,
  names: readonly string[],
  { batchSize = 32, signal, onProgress }: Pick<PredictOptions, 'batchSize' | 'signal' | 'onProgress'>,
): Promise<Predictions> {
  const classifier = openDan(bundle);
  const outputs = classifier.labels.length;
  const classes = new Map(names.map((name, index) => [name, index]));
  const labels: number[] = [];
  const parts: Float32Array[] = [];
  let texts: string[] = [];
  let tokens = 0;
  const flush = (): void => {
    throwIfAborted(signal);
    parts.push(classifier.logits(texts));
    for (const text of texts) tokens += classifier.knownNgrams(text);
    texts = [];
  };
  for await (const example of readSplit(dataset, split)) {
    const { label } = example;
    if (typeof label === 'string' && !classes.has(label)) classes.set(label, classes.size);
    labels.push(label === undefined ? Number.NaN : typeof label === 'number' ? label : classes.get(label)!);
    if (texts.push(textOf(example)) === batchSize) flush();
  }
  flush();
  onProgress?.(1);
  const logits = new Float32Array(labels.length * outputs);
  let at = 0;
  for (const part of parts) {
    logits.set(part, at);
    at += part.length;
  }
  const labelNames = [...classes.keys()];
  const unseenLabels = labelNames.slice(names.length);
  return {
    logits,
    outputs,
    labels: Float32Array.from(labels),
    labelNames,
    tokens: { rows: labels.length, tokens, truncatedRows: 0, unknownTokens: 0, unseenLabels },
  };
}
