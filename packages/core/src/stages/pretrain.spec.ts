import { join } from 'node:path';
import { readManifest } from '../bundle';
import { measurementSchema, reportSectionSchema } from '../report/measurement';
import { readDatasetInfo } from '../text';
import { evaluateStage } from './evaluate';
import { pretrainStage } from './pretrain';
import { datasetFolder, testContext, tinyBundle, tinyExamples } from './testing';

const scratch = { layers: 1, hidden: 16, heads: 2, vocabulary: 100 };
const config = (given: object = {}) =>
  pretrainStage.schema.parse({ scratch, maxLength: 16, batchSize: 8, evaluations: 3, budget: { steps: 6 }, ...given });

describe('pretrain stage', () => {
  let text: string;
  beforeAll(() => {
    text = datasetFolder({ train: tinyExamples(60), test: tinyExamples(20) }, 'unlabelled');
  });

  it('makes a language model that evaluate scores, with curves by time, step and work', async () => {
    const context = testContext({ datasets: { unlabelled: text } });
    const result = await pretrainStage.run(config(), context);
    for (const measurement of result.measurements) expect(measurementSchema.parse(measurement)).toEqual(measurement);
    for (const section of result.sections) expect(reportSectionSchema.parse(section)).toEqual(section);
    expect(result.sections.map((section) => section.kind === 'curve' && section.x)).toEqual([
      'seconds',
      'step',
      'FLOPs',
      'step',
    ]);
    const figures = Object.fromEntries(result.measurements.map(({ metric, value }) => [metric, value]));
    expect(figures['train.steps']).toBe(6);
    expect(figures.perplexity).toBeCloseTo(Math.exp(figures.loss), 8);
    expect(result.model).toBe('model');
    const model = join(context.output, 'model');
    const evaluated = await evaluateStage.run(
      evaluateStage.schema.parse({}),
      testContext({ model, datasets: { data: text } }),
    );
    expect(evaluated.measurements.map(({ metric }) => metric)).toEqual(['perplexity', 'loss']);
    expect(evaluated.measurements[0]).toMatchObject({ context: { split: 'test' } });
  });

  it('makes a causal model whose answers evaluate compares with the references, and with the original', async () => {
    const pairs = tinyExamples(12).map(({ text: words }) => ({ text: words, target: `not ${words}` }));
    const data = datasetFolder({ train: pairs, test: pairs.slice(0, 7) }, 'generation');
    const made = await Promise.all(
      [1, 2].map(async (seed) => {
        const context = testContext({ datasets: { unlabelled: data }, seed });
        await pretrainStage.run(config({ scratch: { ...scratch, architecture: 'gpt2' }, maxLength: 32 }), context);
        return join(context.output, 'model');
      }),
    );
    const evaluation = evaluateStage.schema.parse({ generation: { prompts: 6, maxNewTokens: 4 } });
    const context = testContext({ model: made[0], baseline: made[1], datasets: { data } });
    const { measurements, sections } = await evaluateStage.run(evaluation, context);
    const figures = ['perplexity', 'loss', 'bleu', 'rougeL'];
    expect(measurements.map(({ metric, subject }) => [subject, metric])).toEqual([
      ...figures.map((metric) => ['candidate', metric]),
      ...figures.map((metric) => ['baseline', metric]),
    ]);
    const answers = sections.find(({ title }) => title === 'Answers');
    expect(answers).toMatchObject({ columns: ['Prompt', 'Result', 'Original', 'Reference'] });
    expect(answers?.kind === 'table' && answers.rows.map((row) => [row[0], row[3]])).toEqual(
      pairs.slice(0, 5).map(({ text: prompt, target }) => [prompt, target]),
    );
  });

  it('refuses at submit what cannot work, and estimates a budget of seconds', async () => {
    const info = await readDatasetInfo(datasetFolder({ test: tinyExamples(3) }, 'unlabelled'));
    const { tokenizer: _, ...model } = await readManifest(await tinyBundle());
    const preview = { model: { ...model, architecture: 'textcnn' as const }, datasets: { unlabelled: info } };
    const found = pretrainStage.check?.(config({ scratch: undefined }), preview);
    expect(found?.map(({ code }) => code)).toEqual(['no-train-split', 'no-tokenizer', 'no-language-model']);
    expect(pretrainStage.estimate?.(config({ budget: { seconds: 90 } }), preview)).toMatchObject({ seconds: 90 });
  });
});
