import * as fc from 'fast-check';
import { Tokenizer } from './tokenizer';
import { bertTokenizer, parseVocabTxt } from './tokenizer-vocabulary';
import { SPECIAL_TOKENS, trainWordPiece, WordCounts } from './train-wordpiece';

function counted(...texts: string[]): WordCounts {
  const counts = new WordCounts();
  for (const text of texts) counts.add(text);
  return counts;
}

describe('trainWordPiece', () => {
  it('merges the most frequent pair first', () => {
    const vocabulary = trainWordPiece(counted('hug hug hug pug pun bun hugs'), 5 + 9 + 3);
    // h 4, ##u 7, ##g 5, p 2, ##n 2, b 1, ##s 1: seven characters; then ##ug (5), hug (4), and pu or ##un (2) ...
    expect(vocabulary.slice(0, 5)).toEqual([...SPECIAL_TOKENS]);
    expect(vocabulary.slice(12, 14)).toEqual(['##ug', 'hug']);
  });

  it('gives a vocabulary that the tokenizer reads and that needs few pieces for its own text', () => {
    const texts = ['Cancel my order, please', 'please cancel the order', 'where is my order?'];
    const vocabulary = trainWordPiece(counted(...texts), 80);
    const tokenizer = new Tokenizer(bertTokenizer(parseVocabTxt(vocabulary.join('\n'))));
    expect(tokenizer.encode('please cancel my order', undefined, { specialTokens: false }).ids).toHaveLength(4);
    expect(tokenizer.decode(tokenizer.encode('Where is my order?').ids)).toContain('where is my order');
  });

  it('has no duplicates, at most the size asked for, and does not depend on the order of texts', () => {
    const text = fc
      .array(fc.constantFrom('abc', 'abd', 'bcd', 'ünï', '东京', 'a-b'), { maxLength: 20 })
      .map((w) => w.join(' '));
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), fc.integer({ min: 40, max: 60 }), (texts, size) => {
        fc.pre(texts.some((t) => t !== ''));
        const vocabulary = trainWordPiece(counted(...texts), size);
        expect(new Set(vocabulary).size).toBe(vocabulary.length);
        expect(vocabulary.length).toBeLessThanOrEqual(size);
        expect(new Set(trainWordPiece(counted(...texts.toReversed()), size))).toEqual(new Set(vocabulary));
      }),
    );
  });

  it('refuses no text and a size below the alphabet', () => {
    expect(() => trainWordPiece(counted(''), 100)).toThrow('no text');
    expect(() => trainWordPiece(counted('abcdef'), 8)).toThrow('alone need 11 tokens, more than 8');
  });
});
