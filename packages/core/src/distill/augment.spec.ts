import fc from 'fast-check';
import { Graph, Model, Tensor } from '../graph';
import { bertTokenizer, parseVocabTxt, Tokenizer } from '../text';
import { Variants } from './augment';
import type { AugmentConfig } from './augment';
import { nearWords } from './near-words';

const variantsOf = (text: string, config: Partial<AugmentConfig>, near = new Map<string, string[]>()): string[][] => {
  const variants = new Variants({ texts: 6, most: 1000, by: ['drop'], rate: 0.3, near: 2, ...config }, 7, near);
  variants.of({ text: 'another text of nine words that comes before it' });
  return variants.of({ text }).map((made) => made.text.split(' '));
};
const word = fc.stringMatching(/^[a-z]{2,6}$/);
const sentence = fc.array(word, { minLength: 1, maxLength: 12 });

describe('Variants', () => {
  it('drop words and keep the order of the others', () => {
    fc.assert(
      fc.property(sentence, (words) => {
        for (const made of variantsOf(words.join(' '), { by: ['drop'] })) {
          let at = 0;
          for (const each of made) at = words.indexOf(each, at) + 1 || Number.NaN;
          expect(at).toBeGreaterThan(0);
        }
      }),
    );
  });

  it('splice a beginning and an end; span successive words', () => {
    fc.assert(
      fc.property(sentence, (words) => {
        const text = words.join(' ');
        const other = 'another text of nine words that comes before it';
        for (const made of variantsOf(text, { by: ['splice'] }).map((all) => all.join(' ').trim())) {
          const cuts = Array.from({ length: made.length + 1 }, (_, i) => i);
          expect(
            cuts.some((i) => text.startsWith(made.slice(0, i).trim()) && other.endsWith(made.slice(i).trim())),
          ).toBe(true);
        }
        for (const made of variantsOf(text, { by: ['span'] })) expect(` ${text} `).toContain(` ${made.join(' ')} `);
      }),
    );
  });

  it('replace words by near ones, their punctuation kept, and leave others alone', () => {
    const near = new Map([
      ['paris', ['rome', 'oslo']],
      ['where', ['when']],
    ]);
    const made = variantsOf('Where is (Paris)?', { by: ['replace'], rate: 1 }, near).map((all) => all.join(' '));
    expect(new Set(made)).toEqual(new Set(['when is (rome)?', 'when is (oslo)?']));
  });

  it('are the same for the same seed, take turns, and keep the second text of a pair', () => {
    const config: AugmentConfig = { texts: 4, most: 1000, by: ['span', 'drop'], rate: 0.5, near: 1 };
    const [one, two] = [0, 0].map(() => new Variants(config, 3).of({ text: 'a b c d e f g', pair: 'h' }));
    expect(one).toEqual(two);
    expect(one.map(({ pair }) => pair)).toEqual(['h', 'h', 'h', 'h']);
    expect(new Variants({ ...config, texts: 0 }, 3).of({ text: 'a' })).toEqual([]);
  });
});

describe('nearWords', () => {
  const WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'paris', 'rome', '##x', 'cat', 'dog', '42', 'oslo'];
  const tokenizer = new Tokenizer(bertTokenizer(parseVocabTxt(WORDS.join('\n'))));
  const vectors: Record<string, number[]> = {
    paris: [3, 0.1],
    rome: [1, 0],
    oslo: [2, 0.5],
    cat: [0.1, 1],
    dog: [0, 5],
  };
  const manifest = { name: 'm', components: [{ component: 'embeddings', weight: 'words' }] } as never;
  const options = { threads: 1, signal: new AbortController().signal };
  const modelOf = (dtype: 'float32' | 'int64'): Model => {
    const model = new Model(new Graph());
    const cells = WORDS.flatMap((each) => vectors[each] ?? [9, 9]);
    const dims = [WORDS.length, 2];
    model.graph.addInitializer(
      'words',
      dtype === 'float32' ? Tensor.float32(dims, cells) : Tensor.int64(dims, cells.map(Math.round)),
    );
    return model;
  };

  it('are the nearest by angle, among whole words', async () => {
    const near = await nearWords({ model: modelOf('float32'), manifest }, tokenizer, 2, options);
    expect([...near.keys()].sort()).toEqual(['cat', 'dog', 'oslo', 'paris', 'rome']);
    expect(near.get('paris')).toEqual(['rome', 'oslo']);
    expect(near.get('cat')).toEqual(['dog', 'oslo']);
  });

  it('need word vectors in float32', async () => {
    await expect(nearWords({ model: modelOf('int64'), manifest }, tokenizer, 2, options)).rejects.toMatchObject({
      code: 'distill.word-vectors',
      message: expect.stringContaining('leave "replace" out'),
    });
  });
});
