import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeBundle } from '../bundle';
import { finetuneSchema } from '../finetune/config';
import { finetune } from '../finetune/finetune';
import { scoreLanguageModel } from '../evaluate';
import { parameterNames } from '../passes';
import { ortRuntime } from '../runtime';
import { datasetFolder, temporaryFolder, testContext } from '../stages/testing';
import type { Example } from '../text';
import { pretrainSchema } from './config';
import { pretrain } from './pretrain';
import type { PretrainContext } from './pretrain';

const SUBJECTS = ['cats', 'dogs', 'birds', 'fish'];
const VERBS = ['chase', 'fear', 'like', 'see'];

/** Sentences in which each word follows from the others. */
const sentences = (count: number): Example[] =>
  Array.from({ length: count }, (_, i) => {
    const [a, b] = [i % 4, Math.floor(i / 4) % 4];
    return { text: `the ${SUBJECTS[a]} ${VERBS[b]} the ${SUBJECTS[(a + b) % 4]} very much and ${VERBS[b]} them` };
  });

const scratch = { layers: 1, hidden: 32, heads: 2, vocabulary: 120 };
const settings = (given: object) =>
  pretrainSchema.parse({ scratch, maxLength: 16, batchSize: 8, optimizer: { learningRate: 0.01 }, ...given });

let data: string;
beforeAll(() => {
  data = datasetFolder({ train: sentences(128), dev: sentences(40) }, 'unlabelled');
});

const contextFor = (given: Partial<PretrainContext> = {}): PretrainContext => ({
  ...testContext(),
  dataset: data,
  ...given,
});

const lossesOf = ({ training }: Awaited<ReturnType<typeof pretrain>>): number[] =>
  training.losses.map(({ value }) => value);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('pretrain', () => {
  it.each(['bert', 'roberta', 'distilbert', 'gpt2'] as const)(
    '%s learns text, and its bundle scores as it did in training',
    async (architecture) => {
      const config = settings({ scratch: { ...scratch, architecture }, budget: { epochs: 10 }, evaluations: 4 });
      const result = await pretrain(config, contextFor());
      const losses = lossesOf(result);
      expect(losses[0]).toBeGreaterThan(3);
      expect(mean(losses.slice(-5))).toBeLessThan(0.6 * losses[0]);
      expect(result.training.scores).toHaveLength(4);
      expect(result.epochs).toBeCloseTo(10, 6);
      expect(result.heldOutLoss).toBeCloseTo(result.training.best?.score ?? NaN, 5);
      const { manifest } = result.bundle;
      expect(manifest.task).toBe(architecture === 'gpt2' ? 'causal-lm' : 'masked-lm');
      const folder = join(temporaryFolder(), 'bundle');
      await writeBundle(folder, result.bundle);
      const { perplexity } = await scoreLanguageModel(folder, data, 'dev', { runtime: ortRuntime });
      expect(Math.log(perplexity)).toBeLessThan(0.6 * losses[0]);
    },
    60_000,
  );

  it('continues the same curve after being cancelled', async () => {
    const config = settings({ budget: { epochs: 3 }, evaluations: 6, dropout: 0.1, accumulate: 2 });
    const whole = await pretrain(config, contextFor());
    const abort = new AbortController();
    const checkpoints = temporaryFolder();
    const stopping = contextFor({
      checkpoints,
      signal: abort.signal,
      metric: (name, step) => {
        if (name === 'loss' && step === 7) abort.abort();
      },
    });
    await expect(pretrain(config, stopping)).rejects.toMatchObject({ kind: 'cancelled' });
    const resumed = await pretrain(config, contextFor({ checkpoints }));
    expect(lossesOf(resumed)).toEqual(lossesOf(whole));
    expect(resumed.training.scores.map(({ value }) => value)).toEqual(whole.training.scores.map(({ value }) => value));
    expect(resumed.training.flops).toBe(whole.training.flops);
    const weights = ({ bundle: { model } }: typeof whole) =>
      parameterNames(model).map((name) => model.graph.value(name).constant?.data);
    expect(weights(resumed)).toEqual(weights(whole));
  });

  it('keeps a budget of operations, whatever the size', async () => {
    const one = await pretrain(settings({ budget: { steps: 4 } }), contextFor());
    const flops = 6 * one.training.flops;
    const small = await pretrain(settings({ budget: { flops } }), contextFor());
    const large = await pretrain(settings({ budget: { flops }, scratch: { ...scratch, layers: 4 } }), contextFor());
    expect(small.training.steps).toBe(24);
    expect(large.training.steps).toBeLessThan(20);
    const step = large.training.flops / large.training.steps;
    expect(large.training.flops).toBeGreaterThanOrEqual(flops);
    expect(large.training.flops).toBeLessThan(flops + step);
  });

  it('holds out some of the texts where there is no dev split, and reads labelled texts', async () => {
    const labelled = datasetFolder({ train: sentences(100).map((row) => ({ ...row, label: 'positive' })) });
    const config = settings({ budget: { steps: 2 }, pack: false, heldOut: 0.1 });
    const context = contextFor({ dataset: labelled });
    const result = await pretrain(config, context);
    // Ten texts of 11 words and 2 marks, of which 15 % of the words are predicted.
    expect(result.heldOutTokens).toBeGreaterThanOrEqual(10);
    expect(result.heldOutTokens).toBeLessThan(40);
    const tiny = datasetFolder({ train: sentences(1) }, 'unlabelled');
    await expect(pretrain(config, contextFor({ dataset: tiny }))).rejects.toMatchObject({
      code: 'pretrain.too-little-text',
    });
  });

  it('makes a body that fine-tuning keeps, and continues from a classifier', async () => {
    const { bundle } = await pretrain(settings({ budget: { steps: 3 } }), contextFor());
    const model = join(temporaryFolder(), 'lm');
    await writeBundle(model, bundle);
    const labelled = datasetFolder({
      train: sentences(32).map((row, i) => ({ ...row, label: i % 2 === 0 ? 'positive' : 'negative' })),
    });
    const config = finetuneSchema.parse({ epochs: 1, maxLength: 16, optimizer: { learningRate: 1e-30 } });
    const tuned = await finetune(config, { ...testContext(), dataset: labelled, model });
    expect(tuned.bundle.manifest.task).toBe('classification');
    const body = parameterNames(bundle.model).filter((name) => !name.startsWith('cls.'));
    expect(body.length).toBeGreaterThan(15);
    for (const name of body) {
      const [before, after] = [bundle, tuned.bundle].map(({ model: { graph } }) => graph.value(name).constant?.data);
      expect(after).toEqual(before);
    }
    const classifier = join(temporaryFolder(), 'classifier');
    mkdirSync(classifier);
    await writeBundle(classifier, tuned.bundle);
    const again = await pretrain(
      pretrainSchema.parse({ budget: { steps: 1 }, maxLength: 16, batchSize: 8 }),
      contextFor({ model: classifier }),
    );
    expect(again.bundle.manifest.task).toBe('masked-lm');
    expect(again.bundle.labels).toEqual([]);
    expect(again.warnings.some((warning) => warning.includes('cls.predictions'))).toBe(true);
  });
});
