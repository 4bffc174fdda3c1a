import { join } from 'node:path';
import { writeBundle } from '../bundle';
import { createTransformer, transformerConfig } from '../models';
import { ortRuntime } from '../runtime';
import { datasetFolder, temporaryFolder } from '../stages/testing';
import { generate } from './generate';
import { scoreLanguageModel } from './perplexity';
import { scoreGeneration } from './score-generation';
import { meanRougeL } from './rouge';

const WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'red', 'blue', 'car', 'sky', 'a', 'the', 'is'];
const options = { runtime: ortRuntime, compile: { threads: 1 } };

/** A language model with fresh weights, all zero in the decoder of `uniform` ones. */
async function languageModel(architecture: 'bert' | 'gpt2', initializerRange: number): Promise<string> {
  const config = transformerConfig(architecture, { layers: 1, hidden: 16, heads: 2, vocabulary: 12, maxLength: 24 });
  const bundle = createTransformer(
    { ...config, initializerRange },
    {
      task: architecture === 'bert' ? 'masked-lm' : 'causal-lm',
      seed: 1,
      name: 'tiny',
      tokenizer: { kind: 'wordpiece', padId: 0 },
      tokenizerFiles: new Map([['vocab.txt', Buffer.from(WORDS.join('\n'))]]),
    },
  );
  const folder = join(temporaryFolder(), 'bundle');
  await writeBundle(folder, bundle);
  return folder;
}

const pairs = [
  { text: 'red car', target: 'the car is red' },
  { text: 'blue sky', target: 'the sky is blue' },
  { text: 'red car', target: 'a red car' },
  { text: 'blue car', target: 'a blue car' },
];

describe('scores of language models', () => {
  it.each(['bert', 'gpt2'] as const)(
    '%s without knowledge has the perplexity of its vocabulary',
    async (architecture) => {
      const model = await languageModel(architecture, 0);
      const data = datasetFolder({ test: pairs.map(({ target }) => ({ text: target })) }, 'unlabelled');
      const { perplexity, tokens } = await scoreLanguageModel(model, data, 'test', options);
      expect(perplexity).toBeCloseTo(WORDS.length, 4);
      // 14 words: the causal model predicts each and an end token a text, the masked one 15 % of the words.
      expect(tokens).toBe(architecture === 'gpt2' ? 14 + 4 : 2);
    },
  );

  it('hides the same tokens each time', async () => {
    const model = await languageModel('bert', 0.5);
    const data = datasetFolder({ test: pairs.map(({ target }) => ({ text: target })) }, 'unlabelled');
    const first = await scoreLanguageModel(model, data, 'test', options);
    expect(await scoreLanguageModel(model, data, 'test', options)).toEqual(first);
    const empty = datasetFolder({ test: [{ text: '' }] }, 'unlabelled');
    await expect(scoreLanguageModel(model, empty, 'test', options)).rejects.toMatchObject({ code: 'evaluate.no-text' });
  });

  it('answers each prompt once and compares with all its references', async () => {
    const model = await languageModel('gpt2', 0.5);
    const data = datasetFolder({ test: pairs }, 'generation');
    const settings = { ...options, maxNewTokens: 5, maxPrompts: 2 };
    const { prompts, rougeL, examples } = await scoreGeneration(model, data, 'test', settings);
    expect(prompts).toBe(2);
    const answers = await generate(model, ['red car', 'blue sky'], settings);
    const references = [['the car is red', 'a red car'], ['the sky is blue']];
    expect(examples).toEqual([
      { prompt: 'red car', generated: answers[0], references: references[0] },
      { prompt: 'blue sky', generated: answers[1], references: references[1] },
    ]);
    expect(rougeL).toBeCloseTo(meanRougeL(answers, references), 10);
    const unlabelled = datasetFolder({ test: [{ text: 'a' }] }, 'unlabelled');
    await expect(scoreGeneration(model, unlabelled, 'test', settings)).rejects.toMatchObject({
      code: 'evaluate.no-target',
    });
  });
});
