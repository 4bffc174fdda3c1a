import fc from 'fast-check';
import { DanClassifier } from './classifier';
import { decodeDan, encodeDan } from './format';
import { ngrams, wordHash, words } from './hash';
import type { Hash } from './hash';
import type { DanModel, Pooling } from './model';
import { buildPerfectHash, findSlot } from './perfect-hash';
import { quantizeTable } from './quantize';
import { knownSlots, referenceLogits } from './reference';
import { shareDan } from './shared';
import { DanThreads } from './threads';

const CORPUS = [
  'The quick brown fox jumps over the lazy dog',
  'I want to cancel my order, please!',
  'Où est la bibliothèque? C’est très loin',
  '这家酒店 非常好 房间干净',
  'order 66 was executed_today at 10:30',
];

function keysOf(texts: readonly string[], maxOrder: number): { a: Uint32Array; b: Uint32Array } {
  const distinct = new Map<string, Hash>();
  for (const text of texts) {
    for (const ngram of ngrams(words(text).map(wordHash), 1, maxOrder)) distinct.set(`${ngram.a}/${ngram.b}`, ngram);
  }
  const keys = [...distinct.values()];
  return { a: Uint32Array.from(keys, (key) => key.a), b: Uint32Array.from(keys, (key) => key.b) };
}

function model(pooling: Pooling = 'mean', dimension = 20, hidden = 12): DanModel {
  const { a, b } = keysOf(CORPUS, 3);
  const { hash } = buildPerfectHash(a, b);
  let state = 1;
  const random = (): number => (state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647) / 2_147_483_647 - 0.5;
  const floats = (length: number): Float32Array => Float32Array.from({ length }, random);
  const labels = ['yes', 'no', 'maybe'];
  return {
    labels,
    minOrder: 1,
    maxOrder: 3,
    dimension,
    hidden,
    pooling,
    hash,
    table: { type: 'float32', rows: floats(hash.fingerprints.length * dimension) },
    w1: floats(dimension * hidden),
    b1: floats(hidden),
    w2: floats(hidden * labels.length),
    b2: floats(labels.length),
    ...(pooling === 'attentive' ? { attention: floats(dimension).map((q) => 4 * q) } : {}),
  };
}

const expectClose = (actual: ArrayLike<number>, expected: ArrayLike<number>): void => {
  expect(actual).toHaveLength(expected.length);
  Array.from(actual, (value, i) => expect(Math.abs(value - expected[i])).toBeLessThan(1e-4));
};

describe('words', () => {
  it('are lower-cased runs of two or more word characters, in any script', () => {
    expect(words('I saw A_b, naïve 10 café! x 这家 y')).toEqual(['saw', 'a_b', 'naïve', '10', 'café', '这家']);
  });
});

describe('perfect hash', () => {
  it('gives every key a slot of its own', () => {
    const count = 20_000;
    const a = Uint32Array.from({ length: count }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
    const b = Uint32Array.from({ length: count }, (_, i) => Math.imul(i + 7, 0x85ebca6b));
    const { hash, slotOfKey } = buildPerfectHash(a, b);
    expect(new Set(slotOfKey).size).toBe(count);
    a.forEach((key, i) => expect(findSlot(hash, { a: key, b: b[i] })).toBe(slotOfKey[i]));
    expect(findSlot(hash, { a: 1, b: 2 })).toBe(-1);
  });

  it('refuses equal keys and works without any', () => {
    const equal = Uint32Array.of(5, 5);
    expect(() => buildPerfectHash(equal, equal)).toThrow('is a duplicate');
    const { hash } = buildPerfectHash(new Uint32Array(0), new Uint32Array(0));
    expect(findSlot(hash, { a: 1, b: 2 })).toBe(-1);
  });
});

describe.each(['mean', 'sum', 'max', 'attentive'] as const)('classifier, %s pooling', (pooling) => {
  const dan = model(pooling);

  it('equals the JavaScript twin on any text, alone and in batches', () => {
    const classifier = new DanClassifier(dan, { batch: 4 });
    const known = fc.constantFrom(...CORPUS.flatMap((text) => text.split(' ')));
    const text = fc
      .array(fc.oneof(known, fc.string({ unit: 'grapheme' })), { maxLength: 12 })
      .map((parts) => parts.join(' '));
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 9 }), (texts) => {
        expectClose(
          classifier.logits(texts),
          texts.flatMap((t) => [...referenceLogits(dan, t)]),
        );
        for (const t of texts) expect(classifier.knownNgrams(t)).toBe(knownSlots(dan, t).length);
      }),
    );
  });
});

describe('int8 table', () => {
  it.each(['mean', 'attentive'] as const)('equals the twin, %s, over more than 256 rows too', (pooling) => {
    const dan = quantizeTable(model(pooling));
    const classifier = new DanClassifier(dan);
    const texts = [...CORPUS, Array.from({ length: 400 }, () => CORPUS[0]).join(' ')];
    expectClose(
      classifier.logits(texts),
      texts.flatMap((t) => [...referenceLogits(dan, t)]),
    );
  });

  it('stays close to the float table', () => {
    const dan = model('mean');
    const [exact, quantized] = [dan, quantizeTable(dan)].map((m) => new DanClassifier(m).logits(CORPUS));
    Array.from(exact, (value, i) => expect(Math.abs(value - quantized[i])).toBeLessThan(0.02));
  });
});

describe('model file', () => {
  it.each([
    ['float32', model()],
    ['int8', quantizeTable(model())],
    ['attentive', model('attentive')],
  ] as const)('round trip, %s', (_, dan) => {
    expect(decodeDan(encodeDan(dan))).toEqual(dan);
  });

  it('is refused when it is something else or cut short', () => {
    const bytes = encodeDan(model());
    expect(() => decodeDan(new Uint8Array(40))).toThrow('Not a DAN model');
    expect(() => decodeDan(bytes.slice(0, 30))).toThrow('Truncated');
    expect(() => decodeDan(bytes.slice(0, bytes.length - 8))).toThrow('Truncated');
  });
});

describe('texts', () => {
  it('without a known n-gram get the logits of a zero vector, and a label', () => {
    const dan = model();
    expectClose(new DanClassifier(dan).logits(['zzz', '']), [
      ...referenceLogits(dan, 'zzz'),
      ...referenceLogits(dan, ''),
    ]);
    expect(dan.labels).toContain(new DanClassifier(dan).classify('').label);
  });

  it('that are too long are refused', () => {
    const classifier = new DanClassifier(model(), { maxTextBytes: 100 });
    expect(() => classifier.classify('word '.repeat(50))).toThrow('longer than 100 bytes');
  });
});

describe('threads', () => {
  it('share one table, each with room of its own', () => {
    const dan = model();
    const shared = shareDan(dan, { threads: 2, batch: 4 });
    const classifiers = [0, 1].map((thread) => new DanClassifier(shared, thread));
    const expected = CORPUS.flatMap((text) => [...referenceLogits(dan, text)]);
    for (const classifier of classifiers) expectClose(classifier.logits(CORPUS), expected);
  });

  it.each([
    ['float32', model('max')],
    ['int8', quantizeTable(model())],
  ] as const)('answer many texts in order, %s', async (_, dan) => {
    const threads = new DanThreads(dan, { threads: 2, maxTextBytes: 1000 });
    try {
      const texts = Array.from({ length: 700 }, (_, i) => CORPUS[i % CORPUS.length].slice(i % 7));
      const own = new DanClassifier(dan).logits(texts);
      expect(await threads.logits(texts)).toEqual(own);
      expect(await threads.logits([])).toHaveLength(0);
      await expect(threads.logits(['fine', 'word '.repeat(500)])).rejects.toThrow('longer than 1000 bytes');
      expect(await threads.logits(texts.slice(0, 3))).toEqual(own.subarray(0, 9));
    } finally {
      await threads.close();
    }
    await expect(threads.logits(['late'])).rejects.toThrow('has ended');
  });
});

describe('a table beyond 4 GiB', () => {
  // Only the lengths are looked at before it is refused.
  const sized = (slots: number, dimension: number): DanModel => {
    const { hash, ...dan } = model('mean', dimension);
    return { ...dan, hash: { ...hash, fingerprints: { length: slots, byteLength: 4 * slots } as Uint32Array } };
  };

  it('is refused with what it needs and what would fit', () => {
    const refused = (): DanClassifier => new DanClassifier(sized(1_030_000, 1200));
    expect(refused).toThrow('needs 4.6 GiB, WebAssembly memory ends at 4: a dimension of 1040 fits. An int8 table');
    expect(() => shareDan(sized(2 ** 31, 64), { threads: 2 })).toThrow('no dimension fits, use fewer n-grams');
  });
});
