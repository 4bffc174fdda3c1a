/**
 * @file Speed of the DAN runtime on one core (last, on all of them), from text to logits, tokenization included. Weights and texts are made up
 * (Zipf-distributed words, a vocabulary of a million n-grams), so this says nothing about accuracy.
 *
 *   node --require ./tools/register-typescript.cjs bench/dan-runtime.ts
 */
import { availableParallelism } from 'node:os';
import { buildPerfectHash, DanClassifier, extend, wordHash } from '../packages/dan/src';
import type { DanModel, Hash, Table } from '../packages/dan/src';
import { DanThreads } from '../packages/dan/src/threads';

const NGRAMS = 1_000_000;
const WORDS = 50_000;
const LABELS = 2;

let state = 88_172_645;
function uniform(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}

/** Word ranks follow Zipf's law with exponent 1. */
const zipf = (): number => Math.min(WORDS - 1, Math.floor(Math.exp(uniform() * Math.log(WORDS))) - 1);
/** After a word, one of a few follow-ups half of the time: texts repeat n-grams as language does. */
const next = (word: number): number =>
  uniform() < 0.5 ? (word * 31 + Math.floor(uniform() * 4) * 7919) % WORDS : zipf();
const spelling = Array.from({ length: WORDS }, (_, i) => `w${i.toString(36)}${'aeiou'[i % 5]}`);

function sentence(length: number): number[] {
  const words = [zipf()];
  while (words.length < length) words.push(next(words.at(-1)!));
  return words;
}

/** The most frequent n-grams of made-up text, as hashes. */
function vocabulary(): { a: Uint32Array; b: Uint32Array } {
  const hashes = spelling.map(wordHash);
  const counts = new Map<bigint, number>();
  for (let texts = 0; texts < 60_000; texts++) {
    const words = sentence(40);
    for (let start = 0; start < words.length; start++) {
      let ngram: Hash | undefined;
      for (let order = 1; order <= 4 && start + order <= words.length; order++) {
        ngram = extend(ngram, hashes[words[start + order - 1]]);
        const key = (BigInt(ngram.a) << 32n) | BigInt(ngram.b);
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
  }
  const top = [...counts].sort((x, y) => y[1] - x[1]).slice(0, NGRAMS);
  return {
    a: Uint32Array.from(top, ([key]) => Number(key >> 32n)),
    b: Uint32Array.from(top, ([key]) => Number(key & 0xffffffffn)),
  };
}

function model(hash: DanModel['hash'], dimension: number, type: Table['type']): DanModel {
  const cells = hash.fingerprints.length * dimension;
  const floats = (length: number): Float32Array => Float32Array.from({ length }, () => uniform() - 0.5);
  const table: Table =
    type === 'int8'
      ? {
          type,
          rows: new Int8Array(cells).map((_, i) => (i * 31) % 255),
          scales: new Float32Array(dimension).fill(0.01),
        }
      : { type, rows: new Float32Array(cells).map((_, i) => ((i * 31) % 255) / 255 - 0.5) };
  return {
    labels: Array.from({ length: LABELS }, (_, i) => `label ${i}`),
    minOrder: 1,
    maxOrder: 4,
    dimension,
    hidden: dimension,
    pooling: 'mean',
    hash,
    table,
    w1: floats(dimension * dimension),
    b1: floats(dimension),
    w2: floats(dimension * LABELS),
    b2: floats(LABELS),
  };
}

/** Median microseconds per text over passes. */
async function measure(texts: readonly string[], run: (texts: readonly string[]) => unknown): Promise<number> {
  await run(texts);
  const passes: number[] = [];
  for (let pass = 0; pass < 7; pass++) {
    const started = process.hrtime.bigint();
    await run(texts);
    passes.push(Number(process.hrtime.bigint() - started) / 1000 / texts.length);
  }
  return passes.sort((x, y) => x - y)[3];
}

async function main(): Promise<void> {
  const { a, b } = vocabulary();
  const started = performance.now();
  const { hash } = buildPerfectHash(a, b);
  console.log(`perfect hash of ${a.length} n-grams built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  const texts = { 20: 4000, 250: 400 };
  for (const [dimension, type] of [
    [256, 'float32'],
    [1000, 'int8'],
  ] as const) {
    const dan = model(hash, dimension, type);
    const classifier = new DanClassifier(dan);
    const threads = new DanThreads(dan, { threads: availableParallelism() });
    for (const [tokens, count] of Object.entries(texts)) {
      const batch = Array.from({ length: count }, () =>
        sentence(Number(tokens))
          .map((w) => spelling[w])
          .join(' '),
      );
      const hits = batch.reduce((sum, text) => sum + classifier.knownNgrams(text), 0) / count;
      const lookup = await measure(batch, (all) => all.forEach((text) => classifier.knownNgrams(text)));
      const one = await measure(batch, (all) => all.forEach((text) => classifier.logits([text])));
      const many = await measure(batch, (all) => classifier.logits(all));
      const spread = await measure(batch, (all) => threads.logits(all));
      console.log(
        `${a.length} x ${dimension} ${type}, ${tokens} tokens (${hits.toFixed(0)} hits): ` +
          `lookup ${lookup.toFixed(1)} us; one by one ${one.toFixed(1)} us (${Math.round(1e6 / one)} texts/s); ` +
          `batches of 32 ${many.toFixed(1)} us (${Math.round(1e6 / many)} texts/s); ` +
          `${availableParallelism()} threads ${Math.round(1e6 / spread)} texts/s`,
      );
    }
    await threads.close();
  }
}

void main();
