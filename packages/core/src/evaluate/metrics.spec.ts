import * as fc from 'fast-check';
import { bootstrapInterval } from './bootstrap';
import { corpusBleu } from './bleu';
import { argmaxRows, scoreClassification } from './classification';
import { mcNemar, pairedBootstrap } from './compare';
import { ConfusionMatrix, accuracy, matthewsCorrelation } from './confusion';
import { scoreRegression } from './regression';
import { meanRougeL, rougeL } from './rouge';

/** 40 rows of 4 classes, the first with a label that the model does not have. Figures below: scikit-learn 1.9.1. */
const labels = [
  4, 0, 1, 3, 2, 3, 3, 0, 0, 1, 1, 3, 3, 0, 1, 3, 0, 3, 0, 1, 3, 1, 1, 1, 2, 1, 3, 1, 1, 2, 2, 2, 2, 3, 3, 3, 2, 2, 1,
  3,
];
const logits = Float32Array.from(
  // oxfmt-ignore
  [
    -2.76, -0.35, -1.9, 0.41, 0.24, -0.28, -3.78, -0.81,
    -0.07, 0.17, -2.3, -0.72, -1.47, -1.21, 1.59, 0.79,
    -0.05, 1.33, 1.12, -0.17, 0.17, 0.1, -1.84, 2.11,
    2.04, -2.32, 1.29, 2.18, 1.04, 3.0, 1.14, -1.8,
    2.11, 0.87, -0.28, 1.02, -0.1, 1.0, 2.16, -1.01,
    0.3, 1.31, 0.19, -1.78, -0.87, -0.29, 1.35, 1.72,
    -1.99, -1.19, 0.97, -0.99, -0.69, -0.15, 1.89, 1.03,
    -0.49, 1.45, -0.38, 2.29, -0.64, -0.46, 0.53, 1.82,
    -0.3, -1.67, -0.02, -0.67, 1.75, 0.98, -0.04, 1.0,
    -0.51, 1.58, -0.01, 0.88, -1.94, 0.52, -2.53, -3.05,
    -0.46, -1.35, 0.25, 3.37, -1.25, 1.06, 0.31, 0.74,
    -0.26, -0.31, 1.05, 0.78, -1.55, 1.88, 0.05, -1.58,
    0.39, -1.29, 1.46, 0.29, 0.13, -0.89, -0.18, -3.0,
    -1.7, 0.54, -3.19, 1.27, -2.62, 3.14, -1.27, 1.17,
    0.2, -0.31, 1.87, 2.16, -0.1, -0.41, 1.76, -1.46,
    1.65, -0.81, 1.92, -1.19, -0.94, -1.92, 1.89, -0.23,
    1.45, 0.02, -1.04, -0.49, -0.84, 0.01, -0.56, 1.55,
    -2.07, -1.21, 2.48, -1.01, -1.58, 0.51, 2.11, -2.18,
    -0.31, -0.95, -0.64, 1.1, -0.04, 0.11, -1.13, 0.68,
    -0.81, -0.21, -1.66, -1.82, 2.0, -0.76, 0.44, 1.95,
  ],
);

describe('scoreClassification', () => {
  const { scores, perClass, confusion } = scoreClassification({ logits, classes: 4, labels });

  it('equals scikit-learn', () => {
    expect(scores.accuracy).toBe(0.5);
    expect(scores.microF1).toBeCloseTo(0.5, 12);
    expect(scores.macroF1).toBeCloseTo(0.3859393939393939, 12);
    expect(scores.mcc).toBeCloseTo(0.3319250746773288, 12);
    expect(scores.ece).toBeCloseTo(0.18736775390459776, 12);
    expect(scores.loss).toBeCloseTo(1.3045359117657274, 12);
    expect([...confusion.counts]).toEqual([2, 2, 2, 0, 0, 1, 7, 2, 2, 0, 1, 1, 4, 2, 0, 2, 0, 4, 7, 0, 0, 0, 0, 1, 0]);
  });

  it('equals scikit-learn in every class', () => {
    const column = (name: 'precision' | 'recall' | 'f1' | 'support') => perClass.map((one) => one[name]);
    const close = (values: number[]) => values.map((value) => expect.closeTo(value, 12));
    expect(column('precision')).toEqual(close([0.3333333333333333, 0.7, 0.3333333333333333, 0.5833333333333334, 0.0]));
    expect(column('recall')).toEqual(close([0.3333333333333333, 0.5833333333333334, 0.5, 0.5384615384615384, 0.0]));
    expect(column('f1')).toEqual(close([0.3333333333333333, 0.6363636363636364, 0.4, 0.56, 0.0]));
    expect(column('support')).toEqual([6, 12, 8, 13, 1]);
  });

  it('is 0, not NaN, for a constant prediction', () => {
    const constant = new ConfusionMatrix([0, 1, 1], [1, 1, 1], 2);
    expect([accuracy(constant), matthewsCorrelation(constant)]).toEqual([2 / 3, 0]);
  });
});

describe('scoreRegression', () => {
  it('equals scipy with tied ranks', () => {
    const truth = [1, 2.5, 2.5, 4, 3, 7, 0.5, 9, 9, 2];
    const scores = scoreRegression([1.2, 2, 3, 3.5, 3.5, 8, 1, 7, 9.5, 2], truth);
    expect(scores.pearson).toBeCloseTo(0.9629371734723072, 12);
    expect(scores.spearman).toBeCloseTo(0.9662576687116566, 12);
    expect(scores.mse).toBeCloseTo(0.654, 12);
    expect(scores.mae).toBeCloseTo(0.62, 12);
  });
});

const candidates = [
  'The cat sat on the mat.',
  'A quick brown fox, it costs $3.50 (about 10%).',
  'there is no overlap whatsoever here',
  `He said: "Don't go-home" at 5-6 o'clock.`,
];
const references = [
  ['The cat is on the mat.', 'There sat a cat on the mat.'],
  ['The quick brown fox costs $3.50, about 10% more.', 'A quick fox costs 3.50 dollars'],
  ['completely different words', 'nothing in common'],
  [`He said "do not go home" at 5-6 o'clock.`, `He told us: "Don't go home".`],
];

describe('corpusBleu', () => {
  it('equals sacrebleu 2.6.0', () => {
    expect(corpusBleu(candidates, references)).toBeCloseTo(39.148417850054116, 10);
    const each = candidates.map((candidate, i) => corpusBleu([candidate], [references[i]]));
    const expected = [50.81327481546149, 24.90328638846774, 0, 57.72609245203746];
    expect(each).toEqual(expected.map((value) => expect.closeTo(value, 10)));
    expect(corpusBleu([candidates[1]], [references[1]], 'none')).toBe(0);
  });

  it('is 100 for equal texts and at most 100', () => {
    expect(corpusBleu(['a b c d e'], [['a b c d e']])).toBeCloseTo(100, 10);
    const word = fc.constantFrom('a', 'b', 'c', ',', '.');
    const text = fc.array(word, { minLength: 4, maxLength: 12 }).map((words) => words.join(' '));
    fc.assert(
      fc.property(text, fc.array(text, { minLength: 1, maxLength: 3 }), (candidate, others) => {
        const bleu = corpusBleu([candidate], [others]);
        expect(bleu).toBeGreaterThanOrEqual(0);
        expect(bleu).toBeLessThanOrEqual(100 + 1e-9);
      }),
    );
  });
});

describe('rougeL', () => {
  it('equals rouge-score 0.1.2, of the best reference', () => {
    const f1 = candidates.map((candidate, i) => rougeL(candidate, references[i]).f1);
    const expected = [0.8333333333333334, 0.8, 0, 0.8181818181818182];
    expect(f1).toEqual(expected.map((value) => expect.closeTo(value, 12)));
    expect(rougeL(candidates[1], [references[1][1]])).toEqual({
      precision: expect.closeTo(0.6, 12),
      recall: expect.closeTo(0.8571428571428571, 12),
      f1: expect.closeTo(0.7058823529411764, 12),
    });
    expect(meanRougeL(candidates, references)).toBeCloseTo(expected.reduce((a, b) => a + b) / 4, 12);
  });
});

describe('mcNemar', () => {
  const outcomes = (onlyFirst: number, onlySecond: number) => {
    const first = Array.from(
      { length: onlyFirst + onlySecond + 10 },
      (_, i) => i < onlyFirst || i >= onlyFirst + onlySecond,
    );
    return [first, first.map((right, i) => (i < onlyFirst + onlySecond ? !right : right))] as const;
  };

  it('equals scipy.stats.binomtest', () => {
    expect(mcNemar(...outcomes(5, 16))).toEqual({
      onlyFirst: 5,
      onlySecond: 16,
      pValue: expect.closeTo(0.02660369873046875, 12),
    });
    expect(mcNemar(...outcomes(60, 40)).pValue).toBeCloseTo(0.05688793364098089, 12);
    expect(mcNemar(...outcomes(0, 0)).pValue).toBe(1);
  });
});

describe('bootstrap', () => {
  const predicted = argmaxRows(logits, 4);
  const share = (rows: ArrayLike<number>) => accuracy(new ConfusionMatrix(labels, predicted, 5, rows));

  it('gives an interval near the normal one, the same for a seed', () => {
    const [low, high] = bootstrapInterval(40, share, { seed: 1, resamples: 4000 });
    const halfWidth = 1.96 * Math.sqrt((0.5 * 0.5) / 40);
    expect(Math.abs(low - (0.5 - halfWidth))).toBeLessThan(0.03);
    expect(Math.abs(high - (0.5 + halfWidth))).toBeLessThan(0.03);
    expect(bootstrapInterval(40, share, { seed: 1, resamples: 4000 })).toEqual([low, high]);
  });

  it('tells a real difference from none on paired rows', () => {
    const right = (rows: ArrayLike<number>) =>
      Array.from(rows, (row) => (row % 10 === 0 ? 0 : 1) as number).reduce((a, b) => a + b) / rows.length;
    const worse = (rows: ArrayLike<number>) =>
      Array.from(rows, (row) => (row % 10 < 3 ? 0 : 1) as number).reduce((a, b) => a + b) / rows.length;
    const real = pairedBootstrap(200, worse, right, { seed: 2 });
    expect(real.difference).toBeCloseTo(0.2, 12);
    expect(real.interval[0]).toBeGreaterThan(0.1);
    expect(real.pValue).toBeLessThan(0.01);
    expect(pairedBootstrap(200, right, right)).toEqual({ difference: 0, interval: [0, 0], pValue: 1 });
  });
});
