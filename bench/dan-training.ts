/**
 * @file Speed of DAN training and n-gram counting on one core, on made-up n-grams (Zipf-distributed rows) and on a text
 * file of your own. Figures are texts a second of processor time, which other programs disturb less than wall time.
 *
 *   node --require ./tools/register-typescript.cjs bench/dan-training.ts [text file, one text a line]
 */
import { readFileSync } from 'node:fs';
import { NgramCounter } from '../packages/core/src/dan/count';
import type { NgramBatch } from '../packages/core/src/dan/table';
import { DanTrainer } from '../packages/core/src/dan/trainer';
import { optimizerSchema } from '../packages/core/src/train/optimizer';
import { Random } from '../packages/core/src/train/random';
import { TokenHasher } from '../packages/dan/src';

/** Known n-grams of a text of 20 tokens. */
const NGRAMS = 32;
const STEPS = 24;

function batch(rows: number, texts: number, random: Random): NgramBatch {
  const zipf = (): number => Math.min(rows - 1, Math.floor(Math.exp(random.uniform() * Math.log(rows))));
  return {
    texts,
    offsets: Int32Array.from({ length: texts + 1 }, (_, i) => i * NGRAMS),
    ids: Uint32Array.from({ length: texts * NGRAMS }, zipf),
  };
}

/** Seconds of processor time and of the clock that `work` takes. */
function timed(work: () => void): { cpu: number; wall: number } {
  const [cpu, wall] = [process.cpuUsage(), performance.now()];
  work();
  const { user, system } = process.cpuUsage(cpu);
  return { cpu: (user + system) / 1e6, wall: (performance.now() - wall) / 1000 };
}

function training(rows: number, dimension: number, texts: number): void {
  const optimizer = optimizerSchema.parse({ learningRate: 1e-3 });
  const sizes = { rows, dimension, hidden: dimension, classes: 2 };
  const trainer = new DanTrainer({ ...sizes, pooling: 'mean', optimizer, dropout: 0, seed: 1 });
  const random = new Random(1);
  const batches = Array.from({ length: 8 }, () => batch(rows, texts, random));
  const targets = {
    teacher: Float32Array.from({ length: 2 * texts }, () => random.normal()),
    labels: new Int32Array(texts).fill(-1),
  };
  const step = (i: number): void =>
    void trainer.train(batches[i % batches.length], targets, { temperature: 1, weight: 1 }, 1e-3);
  // Every batch once: the first touch of a row's moments costs a page fault.
  for (let i = 0; i < batches.length; i++) step(i);
  const { cpu, wall } = timed(() => {
    for (let i = 0; i < STEPS; i++) step(i);
  });
  const distinct = new Set(batches[0].ids).size;
  const speed = (seconds: number): number => Math.round((STEPS * texts) / seconds);
  console.log(
    `${rows} x ${dimension}, batch ${texts} (${(distinct / texts).toFixed(1)} rows updated a text): ` +
      `${speed(cpu)} texts/s of processor time, ${speed(wall)} by the clock`,
  );
}

function counting(file: string): void {
  const texts = readFileSync(file, 'utf8').split('\n').slice(0, 50_000);
  const megabytes = Buffer.byteLength(texts.join('\n')) / 1e6;
  const hasher = new TokenHasher();
  // As the distill stage does, which knows the size of its file.
  const counter = new NgramCounter(1, 4, 2 ** 29, (4 * 1e6 * megabytes) / 12);
  const { cpu } = timed(() => texts.forEach((text) => counter.add(hasher.hashes(text))));
  console.log(`counting 1..4-grams: ${(megabytes / cpu).toFixed(1)} MB/s, ${counter.size} different ones`);
}

const [file] = process.argv.slice(2);
if (file !== undefined) counting(file);
training(200_000, 256, 2048);
training(1_000_000, 256, 2048);
training(1_000_000, 256, 256);
