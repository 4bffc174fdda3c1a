import { join } from 'node:path';
import { writeBundle } from '../bundle';
import { generate } from '../evaluate';
import { ortRuntime } from '../runtime';
import { datasetFolder, temporaryFolder, testContext, tinyExamples } from '../stages/testing';
import { Batches, TokenRows } from '../text';
import { TokenRowsWriter } from '../text/token-rows';
import { finetuneSchema } from './config';
import { finetune } from './finetune';
import { taskLoss } from './loss';

describe('fine-tuning a language model', () => {
  it('predicts each next token of a text, and of a pair those of the target with its end only', () => {
    const folder = temporaryFolder();
    const writer = new TokenRowsWriter(folder);
    writer.push([11, 12, 13], 3, NaN);
    writer.push([21, 22, 1, 31, 32, 1], 3, NaN);
    writer.close();
    const rows = new TokenRows(folder);
    const inputs = ['input_ids', 'attention_mask'];
    const batches = new Batches(rows, { batchSize: 3, maxLength: 8, padId: 1, inputs, labels: 'none', buckets: [] });
    const { labels } = taskLoss('causal-lm', 'logits', { labelSmoothing: 0 }).training(
      batches.epoch(0).batch(0),
      rows,
    ).inputs;
    const no = -100;
    const sequences = [0, 8, 16].map((start) => Array.from(labels.data.slice(start, start + 8), Number));
    expect(sequences).toEqual([
      [12, 13, no, no, no, no, no, no],
      [no, no, 31, 32, 1, no, no, no],
      [no, no, no, no, no, no, no, no],
    ]);
  });

  it('learns to answer prompts and to end', async () => {
    const answers = { cat: 'meow meow', dog: 'woof', cow: 'moo moo moo' };
    const pairs = Array.from({ length: 60 }, (_, i) => {
      const [animal, sound] = Object.entries(answers)[i % 3];
      return { text: `what says the ${animal}`, target: sound };
    });
    const dataset = datasetFolder({ train: pairs, dev: pairs.slice(0, 6) }, 'generation');
    const config = finetuneSchema.parse({
      scratch: { architecture: 'gpt2', layers: 1, hidden: 32, heads: 2, vocabulary: 100 },
      epochs: 15,
      batchSize: 12,
      maxLength: 24,
      dropout: 0,
      optimizer: { learningRate: 0.01 },
    });
    const result = await finetune(config, { ...testContext(), dataset, model: undefined });
    expect(result.bundle.manifest.task).toBe('causal-lm');
    expect(result.dev?.loss).toBeLessThan(0.1);
    const folder = join(temporaryFolder(), 'bundle');
    await writeBundle(folder, result.bundle);
    const prompts = Object.keys(answers).map((animal) => `what says the ${animal}`);
    expect(await generate(folder, prompts, { runtime: ortRuntime })).toEqual(Object.values(answers));
  });
});

describe('labels that training has not seen', () => {
  const config = finetuneSchema.parse({
    scratch: { layers: 1, hidden: 16, heads: 2, vocabulary: 100 },
    epochs: 1,
    maxLength: 16,
  });
  const strange = { text: 'good film', label: 'neutral' };

  it('count as errors in dev, with a warning', async () => {
    const dataset = datasetFolder({ train: tinyExamples(20), dev: [strange, strange] });
    const { dev, warnings } = await finetune(config, { ...testContext(), dataset, model: undefined });
    expect(dev?.accuracy).toBe(0);
    expect(warnings).toContain('The dev split has labels that the model does not have: neutral. They count as errors.');
  });

  it('are refused in train', async () => {
    const dataset = datasetFolder({ train: [...tinyExamples(20), strange] });
    await expect(finetune(config, { ...testContext(), dataset, model: undefined })).rejects.toMatchObject({
      code: 'finetune.labels',
    });
  });
});
