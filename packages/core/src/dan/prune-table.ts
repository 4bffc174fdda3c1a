/** @file A smaller table after training: the n-grams that are most frequent in the texts that it learned from. */
import { buildPerfectHash } from '@modelpress/dan';
import type { DanModel } from '@modelpress/dan';
import type { TokenRows } from '../text';
import type { NgramVocabulary } from './vocabulary';

/**
 * Keeps `share` of the n-grams (at least one), by how often `rows` has them. The others are unknown from then on.
 * @param model with a float32 table whose rows are the vocabulary's slots
 */
export function pruneTable(model: DanModel, vocabulary: NgramVocabulary, rows: TokenRows, share: number): DanModel {
  const { a, b, slotOfKey } = vocabulary;
  const uses = new Float64Array(vocabulary.hash.fingerprints.length);
  for (let row = 0; row < rows.rows; row++) for (const slot of rows.ids(row)) uses[slot]++;
  const keys = Uint32Array.from(a, (_, key) => key).sort((x, y) => uses[slotOfKey[y]] - uses[slotOfKey[x]] || x - y);
  const kept = keys.subarray(0, Math.max(1, Math.round(share * keys.length)));
  const pick = (from: Uint32Array): Uint32Array => Uint32Array.from(kept, (key) => from[key]);
  const { hash, slotOfKey: newSlots } = buildPerfectHash(pick(a), pick(b));
  const { dimension } = model;
  const table = new Float32Array(hash.fingerprints.length * dimension);
  kept.forEach((key, i) => {
    const from = slotOfKey[key] * dimension;
    table.set((model.table.rows as Float32Array).subarray(from, from + dimension), newSlots[i] * dimension);
  });
  return { ...model, hash, table: { type: 'float32', rows: table } };
}
