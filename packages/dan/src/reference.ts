/** @file The DAN in plain JavaScript: the oracle of the WebAssembly runtime, and readable as its definition. */
import { ngrams, wordHash, words } from './hash';
import type { DanModel } from './model';
import { findSlot } from './perfect-hash';

/** Slots of a text's known n-grams, repeats kept. */
export function knownSlots(model: Pick<DanModel, 'hash' | 'minOrder' | 'maxOrder'>, text: string): number[] {
  const slots: number[] = [];
  for (const ngram of ngrams(words(text).map(wordHash), model.minOrder, model.maxOrder)) {
    const slot = findSlot(model.hash, ngram);
    if (slot >= 0) slots.push(slot);
  }
  return slots;
}

/** Logits of one text. */
export function referenceLogits(model: DanModel, text: string): Float64Array {
  const { dimension, hidden, labels } = model;
  const pooled = pool(model, knownSlots(model, text));
  const inner = layer(pooled, model.w1, model.b1, dimension, hidden).map((x) => Math.max(0, x));
  return layer(inner, model.w2, model.b2, hidden, labels.length);
}

function pool({ table, dimension, pooling, attention }: DanModel, slots: readonly number[]): Float64Array {
  const pooled = new Float64Array(dimension);
  const at = (slot: number, d: number): number =>
    table.rows[slot * dimension + d] * (table.type === 'int8' ? table.scales[d] : 1);
  if (attention) {
    const scores = slots.map((slot) => attention.reduce((sum, query, d) => sum + query * at(slot, d), 0));
    const weights = scores.map((score) => Math.exp(score - Math.max(...scores)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return pooled.map((_, d) => slots.reduce((sum, slot, i) => sum + (weights[i] / total) * at(slot, d), 0));
  }
  slots.forEach((slot, i) => {
    for (let d = 0; d < dimension; d++) {
      const value = at(slot, d);
      pooled[d] = pooling === 'max' && i > 0 ? Math.max(pooled[d], value) : (pooling === 'max' ? 0 : pooled[d]) + value;
    }
  });
  return pooling === 'mean' && slots.length > 0 ? pooled.map((x) => x / slots.length) : pooled;
}

function layer(x: Float64Array, w: Float32Array, b: Float32Array, inputs: number, outputs: number): Float64Array {
  const y = Float64Array.from(b);
  for (let i = 0; i < inputs; i++) for (let j = 0; j < outputs; j++) y[j] += x[i] * w[i * outputs + j];
  return y;
}
