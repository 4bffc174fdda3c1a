/**
 * @file A DAN against a teacher of RoBERTa-large's shape (24 layers, 1024 wide; random weights) on one core, in one run:
 * texts a second from text to logits, tokenization of the DAN included, the teacher at its best batch and without
 * tokenization. Needs about 6 GB of memory and ten minutes.
 *
 *   node --require ./tools/register-typescript.cjs bench/dan-vs-teacher.ts [layers, default 24]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '../packages/core/src/bench/loaded-model';
import { writeBundle } from '../packages/core/src/bundle';
import { createTransformer, transformerConfig } from '../packages/core/src/models';
import { Random } from '../packages/core/src/train/random';
import { buildPerfectHash, DanClassifier, extend, wordHash } from '../packages/dan/src';
import type { DanModel, Hash } from '../packages/dan/src';

const WORDS = 50_000;
const VOCABULARY = 5000;
const random = new Random(1);
const spelling = Array.from({ length: WORDS }, (_, i) => `w${i.toString(36)}${'aeiou'[i % 5]}`);
const hashes = spelling.map(wordHash);
const word = (): number => Math.min(WORDS - 1, Math.floor(Math.exp(random.uniform() * Math.log(WORDS))) - 1);

/** Words by Zipf's law, half of the time one of four that often follow the one before. */
function sentence(length: number): number[] {
  const words = [word()];
  while (words.length < length) {
    const last = words.at(-1)!;
    words.push(random.uniform() < 0.5 ? (last * 31 + random.integer(4) * 7919) % WORDS : word());
  }
  return words;
}

function dan(ngrams: number, dimension: number): DanModel {
  const found = new Map<bigint, number>();
  for (let text = 0; text < 40_000; text++) {
    const words = sentence(40);
    for (let start = 0; start < words.length; start++) {
      let ngram: Hash | undefined;
      for (const id of words.slice(start, start + 4)) {
        ngram = extend(ngram, hashes[id]);
        const key = (BigInt(ngram.a) << 32n) | BigInt(ngram.b);
        found.set(key, (found.get(key) ?? 0) + 1);
      }
    }
  }
  const top = [...found].sort(([, x], [, y]) => y - x).slice(0, ngrams);
  const { hash } = buildPerfectHash(
    Uint32Array.from(top, ([key]) => Number(key >> 32n)),
    Uint32Array.from(top, ([key]) => Number(key & 0xffffffffn)),
  );
  const floats = (length: number): Float32Array => Float32Array.from({ length }, () => random.uint32() / 2 ** 32 - 0.5);
  return {
    labels: ['a', 'b'],
    minOrder: 1,
    maxOrder: 4,
    dimension,
    hidden: dimension,
    pooling: 'mean',
    hash,
    table: { type: 'float32', rows: floats(hash.fingerprints.length * dimension) },
    w1: floats(dimension ** 2),
    b1: floats(dimension),
    w2: floats(2 * dimension),
    b2: floats(2),
  };
}

/** Texts a second: the best of a few passes after one untimed. */
async function speed(texts: number, passes: number, run: () => unknown): Promise<number> {
  await run();
  let best = 0;
  for (let pass = 0; pass < passes; pass++) {
    const started = performance.now();
    await run();
    best = Math.max(best, (1000 * texts) / (performance.now() - started));
  }
  return best;
}

async function teacherSpeeds(layers: number, tokens: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'modelpress-teacher-'));
  try {
    const sizes = { layers, hidden: 1024, heads: 16, vocabulary: VOCABULARY, maxLength: 512 };
    const options = { task: 'classification', labels: ['a', 'b'], seed: 1, name: 'teacher' } as const;
    const bundle = createTransformer(transformerConfig('roberta', sizes), options);
    await writeBundle(folder, bundle);
    const { manifest } = bundle;
    const model = await loadModel({
      folder,
      manifest,
      vocabulary: VOCABULARY,
      threads: 1,
      serving: { runtime: 'ort', precision: 'fp32' },
    });
    let best = 0;
    for (const batch of [1, 4, 16]) {
      const texts = await speed(batch, 2, model.synthetic({ batch, sequence: tokens }, 1));
      console.log(`teacher, ${layers} layers, ${tokens} tokens, batch ${batch}: ${texts.toFixed(2)} texts/s`);
      best = Math.max(best, texts);
    }
    await model.release();
    return best;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const layers = Number(process.argv[2] ?? 24);
  const classifier = new DanClassifier(dan(1_000_000, 256));
  for (const tokens of [20, 250]) {
    const count = 80_000 / tokens;
    const texts = Array.from({ length: count }, () =>
      sentence(tokens)
        .map((id) => spelling[id])
        .join(' '),
    );
    const student = await speed(count, 5, () => classifier.logits(texts));
    const teacher = await teacherSpeeds(layers, tokens);
    console.log(
      `${tokens} tokens: DAN 1M x 256 ${Math.round(student)} texts/s, teacher ${teacher.toFixed(2)}: ` +
        `${Math.round(student / teacher)} times as many`,
    );
  }
}

void main();
